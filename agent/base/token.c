/* SPDX-License-Identifier: ISC */
#include "token.h"

#include <stddef.h>

static const struct {
	const char *text;
	const char *mends; /* what may mend it in the rest of a boot; NULL: nothing does */
} faults[TOKEN_FAULT_COUNT] = {
	[TOKEN_FAULT_NONE] = {"nothing is wrong", NULL},
	[TOKEN_FAULT_ABSENT] = {"no TPM answers, or the token is not there",
		"the driver is loaded, the token plugged in"},
	[TOKEN_FAULT_BUSY] = {"the hardware was busy until the deadline",
		"other programs are done"},
	[TOKEN_FAULT_TIMEOUT] = {"the hardware did not answer in time", "what held it up is over"},
	[TOKEN_FAULT_DIED] = {"the sealer died", "what its libraries lacked is there"},
	[TOKEN_FAULT_LOCKOUT] = {"the hardware is locked after too many wrong PINs or passwords",
		"time: a TPM gives tries back"},
	[TOKEN_FAULT_FAILURE_MODE] = {"the TPM is in failure mode", NULL},
	[TOKEN_FAULT_OWNER_AUTH] = {"the TPM's owner hierarchy wants a password or is disabled",
		NULL},
	[TOKEN_FAULT_NO_SRK] = {"the TPM holds no storage root key: it was cleared", NULL},
	[TOKEN_FAULT_OTHER_SRK] = {"the TPM holds another storage root key: it was cleared, "
				   "replaced or tampered with",
		NULL},
	[TOKEN_FAULT_UNFIT_SRK] = {"the key at 0x81000001 is no storage root key of this TPM",
		NULL},
	[TOKEN_FAULT_REFUSED] = {"the hardware does not accept what was sealed", NULL},
	[TOKEN_FAULT_FULL] = {"the hardware has no room for objects or sessions, or for a counter",
		"other programs are done"},
	[TOKEN_FAULT_MALFORMED] = {"an answer that no TPM or token would give",
		"a disturbed bus is quiet again"},
	[TOKEN_FAULT_UNSUPPORTED] = {"the hardware or this build cannot do what is asked", NULL},
	[TOKEN_FAULT_OTHER] = {"the hardware failed", "what it needed is there"},
	[TOKEN_FAULT_WRONG_PIN] = {"the PIN is wrong, and was tried once", NULL},
	[TOKEN_FAULT_NO_PIN] = {"the slot wants a PIN",
		"the pin-file is there, or a login has given tries back"},
	[TOKEN_FAULT_OTHER_PCRS] =
		{"the TPM expects other PCR values (a firmware or boot loader update?)",
			"the boot goes on, and measures more"},
	[TOKEN_FAULT_NO_SIGNATURE] = {"no signed PCR policy fits the PCR values of now",
		"the boot goes on, or the file is there"},
	[TOKEN_FAULT_NO_COUNTER] = {"the anchor, a counter in the TPM, is gone or is another",
		NULL},
	[TOKEN_FAULT_OTHER_COUNT] = {"the anchor does not stand where it should", NULL},
	[TOKEN_FAULT_SRK_AUTH] = {"the storage root key has a password", NULL},
	[TOKEN_FAULT_UNFIT_WISH] = {"the slot cannot be made as it was asked for", NULL},
	[TOKEN_FAULT_NO_MODULE] = {"the PKCS #11 module is not configured or cannot be loaded",
		"the module, or what it needs to start, is there"},
	[TOKEN_FAULT_NO_MONITOR] = {"the agent's first process does not answer, and it starts the "
				    "sealer",
		"it goes on"},
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

const char *token_fault_mends(enum token_fault fault)
{
	return faults[known(fault)].mends;
}

bool token_fault_is_passing(enum token_fault fault)
{
	return token_fault_mends(fault) != NULL;
}
