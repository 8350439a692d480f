/* SPDX-License-Identifier: ISC */
#include "token.h"

#include <stdbool.h>

static const struct {
	const char *text;
	bool is_passing;
} faults[TOKEN_FAULT_COUNT] = {
	[TOKEN_FAULT_NONE] = {"nothing is wrong", false},
	[TOKEN_FAULT_ABSENT] = {"no TPM answers, or the token is not there", true},
	[TOKEN_FAULT_BUSY] = {"the hardware was busy until the deadline", true},
	[TOKEN_FAULT_TIMEOUT] = {"the hardware did not answer in time", true},
	[TOKEN_FAULT_DIED] = {"the sealer died", true},
	[TOKEN_FAULT_LOCKOUT] = {"the hardware is locked after too many wrong PINs or passwords",
		false},
	[TOKEN_FAULT_FAILURE_MODE] = {"the TPM is in failure mode", false},
	[TOKEN_FAULT_OWNER_AUTH] = {"the TPM's owner hierarchy wants a password or is disabled",
		false},
	[TOKEN_FAULT_NO_SRK] = {"the TPM holds no storage root key: it was cleared", false},
	[TOKEN_FAULT_OTHER_SRK] = {"the TPM holds another storage root key: it was cleared, "
				   "replaced or tampered with",
		false},
	[TOKEN_FAULT_UNFIT_SRK] = {"the key at 0x81000001 is no storage root key of this TPM",
		false},
	[TOKEN_FAULT_REFUSED] = {"the hardware does not accept what was sealed", false},
	[TOKEN_FAULT_FULL] = {"the hardware has no room for objects or sessions, or for a counter",
		true},
	[TOKEN_FAULT_MALFORMED] = {"an answer that no TPM or token would give", false},
	[TOKEN_FAULT_UNSUPPORTED] = {"the hardware or this build cannot do what is asked", false},
	[TOKEN_FAULT_OTHER] = {"the hardware failed", false},
	[TOKEN_FAULT_WRONG_PIN] = {"the PIN is wrong, and was tried once", false},
	[TOKEN_FAULT_NO_PIN] = {"the slot wants a PIN", false},
	[TOKEN_FAULT_OTHER_PCRS] =
		{"the TPM expects other PCR values (a firmware or boot loader update?)", false},
	[TOKEN_FAULT_NO_SIGNATURE] = {"no signed PCR policy fits the PCR values of now", false},
	[TOKEN_FAULT_NO_COUNTER] = {"the anchor, a counter in the TPM, is gone or is another",
		false},
	[TOKEN_FAULT_OTHER_COUNT] = {"the anchor does not stand where it should", false},
	[TOKEN_FAULT_NO_MODULE] = {"the PKCS #11 module is not configured or cannot be loaded",
		false},
};

/* A fault may come as a number from a sealer: anything unknown reads as OTHER. */
static enum token_fault known(enum token_fault fault)
{
	return (unsigned)fault < TOKEN_FAULT_COUNT ? fault : TOKEN_FAULT_OTHER;
}

const char *token_fault_text(enum token_fault fault)
{
	return faults[known(fault)].text;
}

bool token_fault_is_passing(enum token_fault fault)
{
	return faults[known(fault)].is_passing;
}
