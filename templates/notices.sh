# Watches for what EC2 says of this machine, as a service: that it takes a spot instance back, two
# minutes before it does, and that it may soon. From the first on this node's engines take nothing
# new, as when it is removed: what would not be finished goes elsewhere at once.
# Both are written down, a line each: the kind, when it was seen, and the time that EC2 names.
# SPOTCLUSTER_METADATA says where the metadata are that are not where EC2 has them.
umask 077
. layout.sh
mkdir -p "$root/logs"
exec >>"$root/logs/notices.log" 2>&1
# In a subnet of IPv6 only the second one is there.
services=${SPOTCLUSTER_METADATA:-'http://169.254.169.254 http://[fd00:ec2::254]'}
service=
token=
renewed=-99999
rm -f "$notices" # of an earlier start of this machine

ask() {
    curl -sfg --noproxy '*' -m 2 -H "X-aws-ec2-metadata-token: $token" "$service/meta-data/$1"
}
note() { # kind, what EC2 says; each only once
    local when
    when=$(grep -oE '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z' <<<"$2" | head -n 1)
    if grep -qs "^$1 [0-9]* $when\$" "$notices"; then return; fi
    echo "$(date -u +%FT%TZ) $1: $2"
    {
        cat "$notices" 2>/dev/null
        echo "$1 $(date +%s) $when"
    } >"$notices.new"
    mv "$notices.new" "$notices"
}
while :; do
    if [ $((SECONDS - renewed)) -ge 60 ]; then
        for one in $services; do
            service=$one/latest
            if token=$(curl -sfg --noproxy '*' -m 2 -X PUT "$service/api/token" \
                -H 'X-aws-ec2-metadata-token-ttl-seconds: 300'); then
                renewed=$SECONDS
                kind=$(ask instance-life-cycle) || kind=
                case $kind in
                    spot | '') ;; # nothing is no answer
                    *) exit "$stay_ended" ;; # what is not spot is not taken back
                esac
                break
            fi
        done
    fi
    if said=$(ask spot/instance-action); then
        note interruption "$said"
        touch "$drain" # again, where engines were started again meanwhile
    fi
    if said=$(ask events/recommendations/rebalance); then note rebalance "$said"; fi
    sleep 4
done
