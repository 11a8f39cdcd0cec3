// Horilla's first administrator. Set-up is over for Horilla when a superuser with an Employee record is there: without the record its
// initialisation page stays open, and the log-in of its API fails.
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
  JSON.stringify(JSON.stringify(value).replace(/[^ -~]/g, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`))

/** What is there is not changed: neither a password nor anybody's rights, but for the service user's one permission. */
const script = (people: Person[]) => `
import json
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import transaction
from employee.models import Employee

User = get_user_model()
with transaction.atomic():
    for one in json.loads(${literal(people)}):
        user = User.objects.filter(username=one["username"]).first()
        said = "was there" if user else "created"
        if user and one["admin"] and not user.is_superuser:
            raise RuntimeError(one["username"] + " is there and no superuser")
        if not user:
            make = User.objects.create_superuser if one["admin"] else User.objects.create_user
            user = make(one["username"], email=one["email"], password=one["password"])
        if not one["admin"]:
            user.user_permissions.add(Permission.objects.get(content_type__app_label="employee", codename="view_employee"))
        if not Employee.objects.filter(employee_user_id=user).exists():
            Employee.objects.create(
                employee_user_id=user, employee_first_name=one["first"], employee_last_name=one["last"], email=one["email"], phone=one["phone"]
            )
            said = "was there, its Employee record is new" if said == "was there" else said
        print("kgc: " + one["username"] + ": " + said)
    # the author of what background jobs do, as Horilla's own set-up makes it
    if not User.objects.filter(username="Horilla Bot").exists():
        User.objects.create_user("Horilla Bot")
`

function people({ email, password }: Admin, env: Record<string, string>): Person[] {
  const admin = { username: email, email, password, first: 'KGC', last: 'Administrator', phone: '0', admin: true }
  const { KGC_HORILLA_USERNAME: username, KGC_HORILLA_PASSWORD: secret } = env
  if (!username || !secret) return [admin]
  const address = username.includes('@') ? username : `${username}@${env.DOMAIN}`
  return [admin, { username, email: address, password: secret, first: 'KGC', last: 'Employee sync', phone: '0', admin: false }]
}

/**
 * A superuser with an Employee record, by Horilla's own shell; also KGC's service user when KGC_HORILLA_USERNAME and
 * KGC_HORILLA_PASSWORD are among the settings. The passwords go in by standard input alone.
 */
export const createAdmin: CreateAdmin = async ({ exec, env }, admin) => {
  const output = await exec('horilla-web', ['python', 'manage.py', 'shell'], script(people(admin, env)))
  const said = output.split('\n').filter(line => line.startsWith('kgc: '))
  if (!said.length) throw new Error(`manage.py shell ended well but made nobody: ${output.trim().split('\n').at(-1) ?? ''}`)
  return said.map(line => line.slice(5).trim()).join('; ')
}
