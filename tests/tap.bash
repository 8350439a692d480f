# SPDX-License-Identifier: ISC
# tap: for test scripts in bash. A test is a command that succeeds; what it says explains why not.
tap_count=0 tap_failed=0

# check NAME COMMAND...
check() {
	local name=$1 said
	tap_count=$((tap_count + 1))
	if said=$("${@:2}" 2>&1); then
		echo "ok $tap_count - $name"
	else
		tap_failed=$((tap_failed + 1))
		echo "not ok $tap_count - $name"
		[ -z "$said" ] || sed 's/^/# /' <<<"$said"
	fi
}

# skip NAME WHY
skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

finish() {
	echo "1..$tap_count"
	[ "$tap_failed" -eq 0 ]
	exit
}
