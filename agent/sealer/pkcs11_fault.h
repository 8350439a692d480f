/* SPDX-License-Identifier: ISC */
/*
 * pkcs11_fault: what a return value of a PKCS #11 module means to an operator.
 * A pure function of the value.
 */
#ifndef MORTISE_PKCS11_FAULT_H
#define MORTISE_PKCS11_FAULT_H

#include <p11-kit/pkcs11.h>

#include "token.h"

/*
 * refusal: what it is if the value says no more than "no". SoftHSM 2.6.1 has only
 * CKR_GENERAL_ERROR for a GCM tag that is wrong.
 */
enum token_fault pkcs11_fault_of(CK_RV value, enum token_fault refusal);

#endif
