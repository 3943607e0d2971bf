#!/usr/bin/env bash
# Cyrus IMAP in a view of the machine in which it is installed: _cyrus.sh TREE STATE PORT PASSWORD USERS
# Runs as root of its own mount and process namespaces (tests/servers/installed.py); nothing outside is changed.
set -euo pipefail
tree=$1 state=$2 port=$3 password=$4 users=$5
. "$(dirname "${BASH_SOURCE[0]}")/_private_view.sh"

getent group mail >/dev/null || groupadd --system mail
id cyrus &>/dev/null || useradd --system --gid mail cyrus
mkdir -p "$state"/conf/{db,socket,proc,log} "$state/spool"
cat >/etc/imapd.conf <<END
configdirectory: $state/conf
defaultpartition: default
partition-default: $state/spool
admins: cyrus
cyrus_user: cyrus
cyrus_group: mail
virtdomains: off
unixhierarchysep: yes
altnamespace: yes
allowplaintext: yes
sasl_mech_list: PLAIN LOGIN
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: $state/conf/sasldb
autocreate_quota: 0
autocreate_post: 1
autocreate_inbox_folders: Sent|Drafts|Trash|Junk|Archive
xlist-sent: Sent
xlist-drafts: Drafts
xlist-trash: Trash
xlist-junk: Junk
xlist-archive: Archive
END
cat >/etc/cyrus.conf <<END
START {
  recover cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -r"
}
SERVICES {
  imap cmd="/usr/lib/cyrus/bin/imapd -U 30" listen="127.0.0.1:$port" prefork=0 maxchild=100
}
EVENTS {
  checkpoint cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -c" period=30
}
END
for number in $(seq "$users"); do
  printf '%s' "$password" | saslpasswd2 -p -c -f "$state/conf/sasldb" "user$number"
done
chown -R cyrus:mail "$state"
exec cyrmaster -C /etc/imapd.conf -M /etc/cyrus.conf -p "$state/conf/master.pid" -D
