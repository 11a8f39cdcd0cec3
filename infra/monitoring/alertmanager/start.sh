#!/bin/sh
# Writes the configuration: what alertmanager.yml says, and a receiver for each address that is set. Each secret is a file of its own (`*_file`).
set -eu
umask 077

# receiver VALUE FILE LINES: the lines, when the value is set; the value goes to the file
receiver() {
  if [ -n "$1" ]; then
    printf %s "$1" >"/tmp/$2"
    printf '%s\n' "$3"
  fi
}

# SMTP_PORT comes with SMTP_HOST
# shellcheck disable=SC2153
{
  sed "s/\${ALERTMANAGER_GROUP_WAIT}/$ALERTMANAGER_GROUP_WAIT/; s/\${ALERTMANAGER_GROUP_INTERVAL}/$ALERTMANAGER_GROUP_INTERVAL/" /kgc/alertmanager.yml
  echo 'receivers:'
  echo '  - name: watchdog'
  receiver "$MONITORING_WATCHDOG_URL" watchdog '    webhook_configs: [{ url_file: /tmp/watchdog, send_resolved: false }]'
  echo '  - name: people'
  receiver "$MONITORING_WEBHOOK_URL" webhook '    webhook_configs: [{ url_file: /tmp/webhook }]'
  receiver "$MONITORING_SLACK_URL" slack '    slack_configs:
      - { api_url_file: /tmp/slack, send_resolved: true, title: "{{ template \"kgc.title\" . }}", text: "{{ template \"kgc.text\" . }}" }'
  receiver "$MONITORING_DISCORD_URL" discord '    discord_configs:
      - { webhook_url_file: /tmp/discord, send_resolved: true, title: "{{ template \"kgc.title\" . }}", message: "{{ template \"kgc.text\" . }}" }'
  if [ -n "$MONITORING_MAIL_TO" ] && [ -n "$SMTP_HOST" ]; then
    echo "    email_configs:
      - to: $MONITORING_MAIL_TO
        from: $MAIL_FROM
        smarthost: $SMTP_HOST:$SMTP_PORT
        send_resolved: true
        headers: { Subject: '{{ template \"kgc.title\" . }}' }
        html: ''
        text: '{{ template \"kgc.text\" . }}'"
    if [ -n "$SMTP_USERNAME" ]; then echo "        auth_username: $SMTP_USERNAME"; fi
    receiver "$SMTP_PASSWORD" mail '        auth_password_file: /tmp/mail'
  fi
} >/tmp/alertmanager.yml
# no cluster of its own: there is one. Silences are written to the disk once in that interval: with its default of 15 minutes those of a quarter of an
# hour would be gone after a power cut
exec /bin/alertmanager --config.file=/tmp/alertmanager.yml --storage.path=/alertmanager --data.maintenance-interval=1m --cluster.listen-address=
