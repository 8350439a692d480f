/* SPDX-License-Identifier: ISC */
/* mortise_test: cmocka, and before it what it wants to have been included. */
#ifndef MORTISE_TEST_H
#define MORTISE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
