/* SPDX-License-Identifier: ISC */
#include "token.h"

#include <stddef.h>

static const struct {
	const char *text;
	const char *advice;
	const char *mends; /* what may mend it in the rest of a boot; NULL: nothing does */
} faults[TOKEN_FAULT_COUNT] = {
	[TOKEN_FAULT_NONE] = {"nothing is wrong", "nothing to do", NULL},
	[TOKEN_FAULT_ABSENT] = {"no TPM answers, or the token is not there",
		"check [tpm2] tcti in mortised.conf and that the agent's user is in group tss; "
		"or plug the token in",
		"the driver is loaded, the token plugged in"},
	[TOKEN_FAULT_BUSY] = {"the hardware was busy until the deadline",
		"wait, or run: mortise unseal", "other programs are done"},
	[TOKEN_FAULT_TIMEOUT] = {"the hardware did not answer in time",
		"run: mortise unseal; if it stays so, power the machine off and on",
		"what held it up is over"},
	[TOKEN_FAULT_DIED] = {"the sealer died", "look for mortise-sealer in the system's log",
		"what its libraries lacked is there"},
	[TOKEN_FAULT_LOCKOUT] = {"the hardware is locked after too many wrong PINs or passwords",
		"wait until the lockout ends, or run: tpm2_dictionarylockout --clear-lockout; a "
		"token is unlocked by its security officer",
		"time: a TPM gives tries back"},
	[TOKEN_FAULT_FAILURE_MODE] = {"the TPM is in failure mode",
		"power the machine off and on; if it stays so, run: mortise recover --no-hardware",
		NULL},
	[TOKEN_FAULT_OWNER_AUTH] = {"the TPM's owner hierarchy wants a password or is disabled",
		"as the TPM's owner persist a storage root key at 0x81000001, or enable the "
		"hierarchy",
		NULL},
	[TOKEN_FAULT_NO_SRK] = {"the TPM holds no storage root key: it was cleared",
		"run: mortise recover, with the recovery key", NULL},
	[TOKEN_FAULT_OTHER_SRK] = {"the TPM holds another storage root key: it was cleared, "
				   "replaced "
				   "or tampered with",
		"find out who did, then run: mortise recover, with the recovery key", NULL},
	[TOKEN_FAULT_UNFIT_SRK] = {"the key at 0x81000001 is no storage root key of this TPM",
		"find out who put it there, then remove it: tpm2_evictcontrol -c 0x81000001", NULL},
	[TOKEN_FAULT_REFUSED] = {"the hardware does not accept what was sealed",
		"run: mortise recover, with the recovery key", NULL},
	[TOKEN_FAULT_FULL] = {"the hardware has no room for objects or sessions, or for a counter",
		"use a resource manager (device:/dev/tpmrm0), or run: tpm2_flushcontext -t -l; for "
		"a counter remove NV indices that nobody needs",
		"other programs are done"},
	[TOKEN_FAULT_MALFORMED] = {"an answer that no TPM or token would give",
		"check what [tpm2] tcti or [pkcs11] modules in mortised.conf point to, and whether "
		"the store is intact",
		"a disturbed bus is quiet again"},
	[TOKEN_FAULT_UNSUPPORTED] = {"the hardware or this build cannot do what is asked",
		"see the detail; check [tpm2] tcti (device:, tabrmd: or swtpm:path=) or [pkcs11] "
		"in "
		"mortised.conf",
		NULL},
	[TOKEN_FAULT_OTHER] = {"the hardware failed", "see the detail in the agent's log",
		"what it needed is there"},
	[TOKEN_FAULT_WRONG_PIN] = {"the PIN is wrong; it was tried once",
		"run: mortise unseal, with the right one", NULL},
	[TOKEN_FAULT_NO_PIN] = {"the slot wants a PIN",
		"run: mortise unseal, or set [pkcs11] pin-file",
		"the pin-file is there, or a login has given tries back"},
	[TOKEN_FAULT_OTHER_PCRS] = {"the TPM expects other PCR values (a firmware or boot loader "
				    "update?)",
		"run: mortise unseal --recovery, then mortise slot reseal",
		"the boot goes on, and measures more"},
	[TOKEN_FAULT_NO_SIGNATURE] = {"no signed PCR policy fits the PCR values of now",
		"look for tpm2-pcr-signature.json of this kernel, or run: mortise unseal "
		"--recovery",
		"the boot goes on, or the file is there"},
	[TOKEN_FAULT_NO_COUNTER] = {"the anchor, a counter in the TPM, is gone or is another",
		"find out who removed it, then run: mortise recover", NULL},
	[TOKEN_FAULT_OTHER_COUNT] = {"the anchor does not stand where it should",
		"run: mortise status", NULL},
	[TOKEN_FAULT_SRK_AUTH] = {"the storage root key has a password",
		"as the TPM's owner put one without a password at 0x81000001, as docs/hardware.md "
		"has it",
		NULL},
	[TOKEN_FAULT_UNFIT_WISH] = {"the slot cannot be made as it was asked for",
		"see the detail, and ask again", NULL},
	[TOKEN_FAULT_NO_MODULE] = {"the PKCS #11 module is not configured or cannot be loaded",
		"check [pkcs11] modules in mortised.conf",
		"the module, or what it needs to start, is there"},
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

const char *token_advice(enum token_fault fault)
{
	return faults[known(fault)].advice;
}

const char *token_fault_mends(enum token_fault fault)
{
	return faults[known(fault)].mends;
}

bool token_fault_is_passing(enum token_fault fault)
{
	return token_fault_mends(fault) != NULL;
}
