/* SPDX-License-Identifier: ISC */
/*
 * spellings: how files, shells and programs write a value, character by character: as XML, JSON,
 * YAML, SQL, in a shell's quotes, a crontab, a unit and so on. One table, for whoever looks for
 * values or masks them; docs/spellings.md explains its rows. Keeps nothing.
 */
#ifndef MORTISE_CLI_SPELLINGS_H
#define MORTISE_CLI_SPELLINGS_H

#include "encodings.h"

#define SPELLINGS_GROWTH 8 /* no form is more than so many times as large as its value */

/* The size of the UTF-8 sequence at the beginning, its character in *out_code; 0: it is none. */
size_t spellings_decode(const uint8_t *bytes, size_t size, uint32_t *out_code);

/*
 * Calls take for each form that is not the value itself, and once for one that several rows make.
 * room has size * SPELLINGS_GROWTH bytes, and a form in the end; the caller wipes it.
 */
enum mortise_status spellings_each(const uint8_t *value, size_t size, uint8_t *room,
	encodings_take take, void *context) MUST_USE;

#endif
