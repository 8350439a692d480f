/* SPDX-License-Identifier: ISC */
/*
 * status: how errors travel inside mortise.
 * A function that can fail returns enum mortise_status, is must-use, and leaves its
 * outputs alone on failure. TRY is the only macro that changes control flow.
 */
#ifndef MORTISE_STATUS_H
#define MORTISE_STATUS_H

#include "mortise.h"

#define MUST_USE    __attribute__((warn_unused_result))
#define CLEANUP(fn) __attribute__((cleanup(fn)))

#define TRY(expression)                                                                            \
	do {                                                                                       \
		enum mortise_status try_status_ = (expression);                                    \
		if (try_status_ != MORTISE_OK)                                                     \
			return try_status_;                                                        \
	} while (0)

#endif
