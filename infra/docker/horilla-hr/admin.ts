// Horilla's first administrator. Set-up is over for Horilla when a superuser with an Employee
// record is there: without the record its initialisation page stays open, and the log-in of its API
// fails. KGC's service user also needs a company: without one the API refuses it.
import type { Admin, CreateAdmin } from '../../../scripts/lib/smoke/checks.ts'

interface Person {
  username: string
  email: string
  password: string
  first: string
  last: string
  phone: string
  /** A superuser; otherwise one who may read the employees. */
  admin: boolean
}

/** JSON in ASCII inside a string literal that Python and JSON read alike. */
const literal = (value: unknown) =>
  JSON.stringify(
    JSON.stringify(value).replace(
      /[^ -~]/g,
      character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    ),
  )

/**
 * What is there is not changed: neither a password nor anybody's rights, but for the service user's
 * one permission and its company.
 */
const script = (people: Person[], company: string) => `
import json
from base.models import Company
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import transaction
from employee.models import Employee, EmployeeWorkInformation

User = get_user_model()
data = json.loads(${literal({ people, company })})
# the author of what background jobs do, as Horilla's own set-up makes it
if not User.objects.filter(username="Horilla Bot").exists():
    User.objects.create_user("Horilla Bot")
for one in data["people"]:
    with transaction.atomic():
        user = User.objects.filter(username=one["username"]).first()
        said = "was there" if user else "created"
        if user and one["admin"] and not user.is_superuser:
            raise RuntimeError(one["username"] + " is there and no superuser")
        if not user:
            make = User.objects.create_superuser if one["admin"] else User.objects.create_user
            user = make(one["username"], email=one["email"], password=one["password"])
        if not one["admin"]:
            user.user_permissions.add(Permission.objects.get(content_type__app_label="employee", codename="view_employee"))
        employee = Employee.objects.filter(employee_user_id=user).first()
        if not employee:
            employee = Employee.objects.create(
                employee_user_id=user, employee_first_name=one["first"], employee_last_name=one["last"], email=one["email"], phone=one["phone"]
            )
            said = "was there, its Employee record is new" if said == "was there" else said
        work = EmployeeWorkInformation.objects.filter(employee_id=employee).first()
        if not one["admin"] and not (work and work.company_id):
            # the API shows it the people of its company and those of none
            companies = list(Company.objects.order_by("id"))
            wanted = [company for company in companies if data["company"] in ("", company.company)]
            if len(wanted) > 1 or (companies and not wanted):
                names = ", ".join(company.company for company in companies)
                raise RuntimeError("which company is " + one["username"] + " to read? There are: " + names + ". Set HORILLA_COMPANY to one of them in the env file of horilla-hr")
            company = wanted[0] if wanted else Company.objects.create(company=data["company"] or "KGC")
            work = work or EmployeeWorkInformation(employee_id=employee)
            work.company_id = company
            work.save()
            said += ", works in " + company.company
    print("kgc: " + one["username"] + ": " + said)
`

// of the form that Horilla's own pages ask for
const phone = '+36 1 000 0000'

function people({ email, password }: Admin, env: Record<string, string>): Person[] {
  const admin = {
    username: email,
    email,
    password,
    first: 'KGC',
    last: 'Administrator',
    phone,
    admin: true,
  }
  const { KGC_HORILLA_USERNAME: username, KGC_HORILLA_PASSWORD: secret } = env
  if (!username || !secret) return [admin]
  const address = username.includes('@') ? username : `${username}@${env.DOMAIN}`
  return [
    admin,
    {
      username,
      email: address,
      password: secret,
      first: 'KGC',
      last: 'Employee sync',
      phone,
      admin: false,
    },
  ]
}

/**
 * A superuser with an Employee record, by Horilla's own shell; also KGC's service user when
 * KGC_HORILLA_USERNAME and KGC_HORILLA_PASSWORD are among the settings: in the one company, in that
 * of HORILLA_COMPANY, or in a new one when there is none. The passwords go in by standard input
 * alone.
 */
export const createAdmin: CreateAdmin = async ({ exec, env }, admin) => {
  const output = await exec(
    'horilla-web',
    ['python', 'manage.py', 'shell'],
    script(people(admin, env), env.HORILLA_COMPANY ?? ''),
  ).catch((error: Error) => {
    throw new Error(/RuntimeError: (.*)/.exec(error.message)?.[1] ?? error.message)
  })
  const said = output.split('\n').filter(line => line.startsWith('kgc: '))
  if (!said.length)
    throw new Error(
      `manage.py shell succeeded but created no user: ${output.trim().split('\n').at(-1) ?? ''}`,
    )
  return said.map(line => line.slice(5).trim()).join('; ')
}
