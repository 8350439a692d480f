/* SPDX-License-Identifier: ISC */
/*
 * tpm2_srk: the persistent storage root key at 0x81000001, parent of every seal.
 * Any type of asymmetric key will do, if the TPM made it and it never leaves: a planted
 * software key would be accepted for salting, and give the session away.
 */
#ifndef MORTISE_TPM2_SRK_H
#define MORTISE_TPM2_SRK_H

#include "tpm2_link.h"

#define TPM2_SRK_HANDLE 0x81000001

/*
 * The SRK's public area; makes and persists an ECC P-256 key where there is none. Trust on
 * first use: for enrolling only.
 */
enum mortise_status tpm2_srk_find(struct tpm2 *tpm, TPM2B_PUBLIC *out_public) MUST_USE;

/*
 * Makes tpm->srk of a recorded public area, so that a session is salted to that key and no
 * other, whatever the TPM says. Sends nothing.
 */
enum mortise_status tpm2_srk_use(struct tpm2 *tpm, const TPM2B_PUBLIC *recorded) MUST_USE;

/* Does the key at 0x81000001 still have the recorded public area? */
enum mortise_status tpm2_srk_confirm(struct tpm2 *tpm, const TPM2B_PUBLIC *recorded) MUST_USE;

#endif
