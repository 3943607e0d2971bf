#!/usr/bin/env bash
# Exim in a view of the machine in which it is installed: _exim.sh TREE STATE PORT NEXT_PORT
# Takes any mail from this machine and hands it on to NEXT_PORT (tests/servers/relays.py).
# Runs as root of its own mount and process namespaces (tests/servers/installed.py); nothing outside is changed.
set -euo pipefail
tree=$1 state=$2 port=$3 next=$4
. "$(dirname "${BASH_SOURCE[0]}")/_private_view.sh"

id Debian-exim &>/dev/null || useradd --system Debian-exim
mkdir -p /etc/exim4 "$state/spool" "$state/log"
chown -R Debian-exim "$state/spool" "$state/log"
cat >/etc/exim4/exim4.conf <<END
primary_hostname = exim.example.org
spool_directory = $state/spool
log_file_path = $state/log/%s
local_interfaces = 127.0.0.1
daemon_smtp_ports = $port
tls_advertise_hosts =
rfc1413_hosts =
host_lookup =
keep_environment =
acl_smtp_rcpt = accept
acl_smtp_data = accept
smtp_accept_max_per_connection = 1000
smtp_accept_queue_per_connection = 1000
begin routers
next:
  driver = manualroute
  route_list = * 127.0.0.1 byname
  self = send
  transport = onward
begin transports
onward:
  driver = smtp
  port = $next
  hosts_try_chunking =
begin retry
* * F,1m,1s
END
exec exim4 -bdf -q5s
