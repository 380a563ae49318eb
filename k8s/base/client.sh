#!/bin/sh
# Asks DESTINATION every INTERVAL seconds and says which router answered; COUNT is how often, and 0 for ever.
#
# Each answer must come from the router that the pod's address chooses: even, the first; odd, the second. With ROUTERS=far the routers
# forward, so that what answers is the destination, and any answer will do.
set -eu

case $POD_IP in
*:*) last=0x${POD_IP##*:} ;;
*) last=${POD_IP##*.} ;;
esac
[ "$last" != 0x ] || last=0
expected=egress-router$((last % 2 + 1))

# A sidecar that is no native one would keep a Job from ending.
finish() {
    [ "$COUNT" = 0 ] || curl --silent --output /dev/null --max-time 2 --request POST http://127.0.0.1:15020/quitquitquit || true
}
trap finish EXIT
trap 'exit 143' TERM INT

asked=0
wrong=0
while [ "$COUNT" = 0 ] || [ "$asked" -lt "$COUNT" ]; do
    answer=$(curl --fail --silent --show-error --max-time 10 "$DESTINATION" 2>&1) || answer="error: $answer"
    case $ROUTERS:$answer in
    *:error:*) verdict=FAILED ;;
    far:* | *"\"$expected\""*) verdict=ok ;;
    *) verdict=MISROUTED ;;
    esac
    [ "$verdict" = ok ] || wrong=$((wrong + 1))
    echo "$verdict $POD_IP by $expected: $(echo "$answer" | tr -d '\n')"
    asked=$((asked + 1))
    sleep "$INTERVAL" &
    wait $!
done
[ "$wrong" = 0 ]
