#!/usr/bin/env bash
# Courier IMAP in a view of the machine in which it is installed: _courier.sh TREE STATE PORT PASSWORD USERS
# Runs as root of its own mount and process namespaces (tests/servers/installed.py); nothing outside is changed.
set -euo pipefail
tree=$1 state=$2 port=$3 password=$4 users=$5
. "$(dirname "${BASH_SOURCE[0]}")/_private_view.sh"

mount -t tmpfs none /run
mkdir -p /run/courier/authdaemon /etc/courier/userdb "$state/mail"
chmod 700 /etc/courier/userdb
id courier &>/dev/null || useradd --system courier
sed -i 's/^authmodulelist=.*/authmodulelist="authuserdb"/' /etc/courier/authdaemonrc
hashed=$(openssl passwd -1 "$password")
maildirmake.courier "$state/mail/empty"
for number in $(seq "$users"); do
  mkdir "$state/mail/$number"
  cp -a "$state/mail/empty" "$state/mail/$number/Maildir"
  printf 'user%s\tuid=65534|gid=65534|home=%s|imappw=%s\n' "$number" "$state/mail/$number" "$hashed"
done >/etc/courier/userdb/all
chmod 600 /etc/courier/userdb/all
chown -R 65534:65534 "$state/mail"
makeuserdb
/usr/lib/courier/courier-authlib/authdaemond &
until [[ -S /run/courier/authdaemon/socket ]]; do sleep 0.05; done

set -a
. /etc/courier/imapd
IMAP_STARTTLS=NO prefix=/usr exec_prefix=/usr sbindir=/usr/sbin bindir=/usr/bin
set +a
unset PORT
exec couriertcpd -address=127.0.0.1 -maxprocs=40 -maxperip=40 -nodnslookup -noidentlookup "$port" \
  /usr/lib/courier/courier/imaplogin /usr/bin/imapd Maildir
