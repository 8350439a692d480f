/* SPDX-License-Identifier: ISC */
/*
 * shown: text from elsewhere, as it may stand on a terminal and in JSON: notes, names of files,
 * what the agent said. What could steer a terminal, begin a line or turn a text around is spelled
 * out: control characters (C0 and C1), DEL, separators of lines and paragraphs and Unicode's
 * controls of direction as \u202e, a byte that is no UTF-8 as \x9b. Nothing is left out.
 * Knows nothing of where it goes.
 */
#ifndef MORTISE_SHOWN_H
#define MORTISE_SHOWN_H

#include <stddef.h>

#define SHOWN_PIECE_MAX 8 /* the longest spelling, and a NUL */

/* How the first of size > 0 bytes, or the character that begins with it, is shown; its size. */
size_t shown_take(const void *bytes, size_t size, char out_piece[SHOWN_PIECE_MAX]);

/*
 * The same for all of them: a text that ends with a NUL, cut behind a piece so that it fits.
 * Returns the size of the whole of it, as snprintf() does.
 */
size_t shown_text(const void *bytes, size_t size, char *out_text, size_t out_size);

#endif
