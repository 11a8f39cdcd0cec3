# Says whether the scheduler works, and ends with 1 when it does not: one of its jobs is due every minute, and the row that says when
# stays in the past while the scheduler hangs. By the database driver alone: Django would take seconds and hundreds of MB each time.
# `live`: a database that does not answer is no reason to restart the scheduler.
import os
import sys

try:
    import psycopg2 as driver
except ImportError:
    import psycopg as driver

# a paused job has no time
QUESTION = """
    SELECT CASE
        WHEN count(*) = 0 THEN 'no job is registered yet'
        WHEN min(next_run_time) < now() - interval '5 minutes'
        THEN 'it hangs: a job has been due since ' || to_char(min(next_run_time), 'YYYY-MM-DD HH24:MI:SS TZ')
    END FROM django_apscheduler_djangojob
"""

try:
    with driver.connect(os.environ["DATABASE_URL"], connect_timeout=3) as database, database.cursor() as cursor:
        cursor.execute(QUESTION)
        verdict = cursor.fetchone()[0]
except driver.Error as error:
    verdict = None if "live" in sys.argv[1:] else str(error).strip()
sys.exit(verdict)
