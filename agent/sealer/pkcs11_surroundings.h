/* SPDX-License-Identifier: ISC */
/*
 * pkcs11_surroundings: what a vendor's module finds in this process: an environment of the
 * configuration's words and nothing else, no place to print to, and a socket to the keeper that
 * it cannot leave behind in a process of its own.
 * Done once, before a module is loaded, and for good.
 */
#ifndef MORTISE_PKCS11_SURROUNDINGS_H
#define MORTISE_PKCS11_SURROUNDINGS_H

#include <stdbool.h>

#include "token.h"

/* False with errno. */
bool pkcs11_surround(const struct token_options *options) MUST_USE;

#endif
