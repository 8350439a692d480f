# SPDX-License-Identifier: ISC
# environment: what a suite finds in its environment, for all that run suites.

# export_environment ROOT: the checkout whose builds (tests/build) are tested.
export_environment() {
	export LC_ALL=C.UTF-8 CMOCKA_MESSAGE_OUTPUT=TAP PYTHONDONTWRITEBYTECODE=1
	export MORTISE_TEST_SOURCE=$1 MORTISE_TEST_BUILD=$1/build/sanitized/tests
	export MORTISE_TEST_SEALER=$1/build/sanitized/agent/mortise-sealer
	export MORTISE_TEST_PLAIN=$1/build/plain MORTISE_TEST_KEEP=$1/build/kept
	MORTISE_TEST_PREFIX=$("$1/tests/build" --prefix plain)
	MORTISE_TEST_PREFIX_READABLE=$("$1/tests/build" --prefix readable)
	export MORTISE_TEST_PREFIX MORTISE_TEST_PREFIX_READABLE
	export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	# tpm2-tss 4.1 forgets 96 bytes where it reaches no TPM (tpm2-tss, pull request 2846); other versions do not.
	[[ $(pkg-config --modversion tss2-tctildr 2>/dev/null) != 4.1.* ]] ||
		export LSAN_OPTIONS=suppressions=$1/tests/tpm2-tss-4.1.leaks:print_suppressions=0
	export PYTHONPATH=$1/swtpm-test/fixtures # where suites find what they import
	unset MORTISE_SOCKET MORTISE_WAIT NOTIFY_SOCKET LISTEN_FDS LISTEN_PID JOURNAL_STREAM
}
