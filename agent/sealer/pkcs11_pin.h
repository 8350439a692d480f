/* SPDX-License-Identifier: ISC */
/*
 * pkcs11_pin: the PIN of a token, typed or from the pin-file, and a login with it.
 * A PIN is tried once. The last try that a token has is for somebody who types, not for a file.
 * That a restart loop does not try again and again is up to the keeper, which notes it on the disk.
 */
#ifndef MORTISE_PKCS11_PIN_H
#define MORTISE_PKCS11_PIN_H

#include "pkcs11_link.h"
#include "secret.h"

struct pkcs11_pin {
	const struct secret *typed; /* NULL: it is in the file of the options, if anywhere */
	struct secret *kept;        /* of the file; whoever owns this frees it */
	bool is_right;              /* it was accepted */
	bool is_wrong;              /* it was not, and is not tried again */
};

/* Into the session. */
enum mortise_status pkcs11_login(struct pkcs11 *token, struct pkcs11_pin *pin) MUST_USE;

#endif
