/* SPDX-License-Identifier: ISC */
/*
 * scan_region: memory for values that grows by moving pages: nothing is copied, so nothing is left
 * behind. It goes into no core dump, and is wiped in the end.
 */
#ifndef MORTISE_CLI_SCAN_REGION_H
#define MORTISE_CLI_SCAN_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is an empty one. */
struct scan_region {
	uint8_t *bytes;
	size_t used, capacity;
};

/* Makes room for size more bytes, and does not use them. False without memory. */
bool scan_region_grow(struct scan_region *region, size_t size);
/* Takes an empty one. */
void scan_region_release(struct scan_region *region);

#endif
