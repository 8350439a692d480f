#!/bin/sh
# SPDX-License-Identifier: ISC
# The command `mortise` from a shell script.
#
# client.sh get PATH            hands a secret to a program (here: cat), byte for byte
# client.sh set PATH <VALUE     stores a version
set -u
path=$2

case $1 in
set)
	mortise set --raw --allow-empty "$path" >/dev/null
	;;
get)
	# Better than a variable, which has no NULs, loses newlines and shows in `sh -x`:
	# the program reads it from a file that is in memory only.
	mortise exec --no-mask --fd SECRET="$path" -- sh -c 'exec cat "$SECRET"'
	;;
esac
status=$?

case $status in
0) ;;
66) echo "client.sh: there is no $path" >&2 ;;
69 | 75) echo "client.sh: no agent, or it is sealed: try again later" >&2 ;;
77) echo "client.sh: the policy does not allow it" >&2 ;;
*) echo "client.sh: mortise ended with $status" >&2 ;;
esac
exit "$status"
