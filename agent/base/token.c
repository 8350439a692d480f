/* SPDX-License-Identifier: ISC */
#include "token.h"

#include <stddef.h>

static const struct token_fault_row faults[TOKEN_FAULT_COUNT] = {
	[TOKEN_FAULT_NONE] = {"nothing is wrong", NULL, "try again", false},
	[TOKEN_FAULT_ABSENT] = {"no TPM answers, or the token is not there",
		"the driver is loaded, the token plugged in",
		"check [tpm2] tcti in mortised.conf and that the agent's user is in "
		"group tss, or plug the token in",
		true},
	[TOKEN_FAULT_BUSY] = {"the hardware was busy until the deadline", "other programs are done",
		"wait, and try again", false},
	[TOKEN_FAULT_TIMEOUT] = {"the hardware did not answer in time", "what held it up is over",
		"power the machine off and on", true},
	[TOKEN_FAULT_DIED] = {"the sealer died", "what its libraries lacked is there",
		"look for mortise-sealer in the system's log", true},
	[TOKEN_FAULT_LOCKOUT] = {"the hardware is locked after too many wrong PINs or passwords",
		"time: a TPM gives tries back",
		"wait until the lockout ends, or run: tpm2_dictionarylockout "
		"--clear-lockout, or have the token's security officer unlock it",
		true},
	[TOKEN_FAULT_FAILURE_MODE] = {"the TPM is in failure mode", NULL,
		"power the machine off and on", true},
	[TOKEN_FAULT_OWNER_AUTH] = {"the TPM's owner hierarchy wants a password or is disabled",
		NULL,
		"enable the TPM's owner hierarchy in the firmware's setup, or as "
		"its owner persist a storage root key at 0x81000001",
		true},
	[TOKEN_FAULT_NO_SRK] = {"the TPM holds no storage root key: it was cleared", NULL,
		"see whether the TPM was cleared just now, and try again", true},
	[TOKEN_FAULT_OTHER_SRK] = {"the TPM holds another storage root key: it was cleared, "
				   "replaced or tampered with",
		NULL, "find out who put another key there, and try again", true},
	[TOKEN_FAULT_UNFIT_SRK] = {"the key at 0x81000001 is no storage root key of this TPM", NULL,
		"find out who put it there, then remove it: tpm2_evictcontrol -c "
		"0x81000001",
		true},
	[TOKEN_FAULT_REFUSED] = {"the hardware does not accept what was sealed", NULL,
		"do not use it: it does not open what it has just sealed", true},
	[TOKEN_FAULT_FULL] = {"the hardware has no room for objects or sessions, or for a counter",
		"other programs are done",
		"use a resource manager (device:/dev/tpmrm0), or run: "
		"tpm2_flushcontext -t -l",
		true},
	[TOKEN_FAULT_MALFORMED] = {"an answer that no TPM or token would give",
		"a disturbed bus is quiet again",
		"check what [tpm2] tcti or [pkcs11] modules in mortised.conf point "
		"to",
		true},
	[TOKEN_FAULT_UNSUPPORTED] = {"the hardware or this build cannot do what is asked", NULL,
		"see the detail; check [tpm2] tcti (device:, tabrmd: or "
		"swtpm:path=) or [pkcs11] in mortised.conf",
		true},
	[TOKEN_FAULT_OTHER] = {"the hardware failed", "what it needed is there",
		"see the detail in the agent's log", true},
	[TOKEN_FAULT_WRONG_PIN] = {"the PIN is wrong, and was tried once", NULL,
		"try again with the right PIN", false},
	[TOKEN_FAULT_NO_PIN] = {"the slot wants a PIN",
		"the pin-file is there, or a login has given tries back",
		"give the PIN: --pin-file=F, or [pkcs11] pin-file in mortised.conf", false},
	[TOKEN_FAULT_OTHER_PCRS] =
		{"the TPM expects other PCR values (a firmware or boot loader update?)",
			"the boot goes on, and measures more", "they changed meanwhile: try again",
			false},
	[TOKEN_FAULT_NO_SIGNATURE] = {"no signed PCR policy fits the PCR values of now",
		"the boot goes on, or the file is there",
		"look for tpm2-pcr-signature.json of this kernel, or leave out "
		"--pcr-public-key",
		false},
	[TOKEN_FAULT_NO_COUNTER] = {"the anchor, a counter in the TPM, is gone or is another", NULL,
		"find out who removed it, then run: mortise seal, then: mortise "
		"recover",
		false},
	[TOKEN_FAULT_OTHER_COUNT] = {"the anchor does not stand where it should", NULL,
		"find out who counted it up, then run: mortise seal, then: "
		"mortise recover",
		false},
	[TOKEN_FAULT_SRK_AUTH] = {"the storage root key has a password", NULL,
		"as the TPM's owner put one without a password at 0x81000001, as "
		"docs/hardware.md has it",
		true},
	[TOKEN_FAULT_UNFIT_WISH] = {"the slot cannot be made as it was asked for", NULL,
		"see the detail, and ask again", false},
	[TOKEN_FAULT_NO_MODULE] = {"the PKCS #11 module is not configured or cannot be loaded",
		"the module, or what it needs to start, is there",
		"check [pkcs11] modules in mortised.conf", true},
	[TOKEN_FAULT_NO_MONITOR] = {"the agent's first process does not answer, and it starts the "
				    "sealer",
		"it goes on",
		"see whether it is stopped (ps shows T): kill -CONT its pid, or "
		"restart the agent",
		false},
};

/* A fault may come as a number from a sealer: anything unknown reads as OTHER. */
static enum token_fault known(enum token_fault fault)
{
	return (unsigned)fault < TOKEN_FAULT_COUNT ? fault : TOKEN_FAULT_OTHER;
}

const struct token_fault_row *token_fault_row(enum token_fault fault)
{
	return &faults[known(fault)];
}

const char *token_fault_text(enum token_fault fault)
{
	return token_fault_row(fault)->text;
}

bool token_fault_is_passing(enum token_fault fault)
{
	return token_fault_row(fault)->passes != NULL;
}
