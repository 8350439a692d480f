/* SPDX-License-Identifier: ISC */
/* refusal: an answer that says no, and the words for it. */
#ifndef MORTISE_REFUSAL_H
#define MORTISE_REFUSAL_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* What a status means where nothing more is known: what the agent reads and writes is its store. */
const char *refusal_words(enum mortise_status status);

/* An answer that only says what went wrong; text "": in refusal_words(). */
size_t refusal_write(uint32_t request_id, enum mortise_status status, const char *text,
	uint8_t *reply, size_t capacity);

#endif
