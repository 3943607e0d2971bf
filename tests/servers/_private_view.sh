# Sourced with $tree and $state set: lays the unpacked packages over /usr and /etc, for this process and its children.
mount -t tmpfs none "$state"
chmod 755 "$state"
mkdir "$state/changed" "$state/work"
mount -t overlay overlay -o "lowerdir=$tree/usr:/usr" /usr
mount -t overlay overlay -o "lowerdir=$tree/etc:/etc,upperdir=$state/changed,workdir=$state/work" /etc
ldconfig
