/* SPDX-License-Identifier: ISC */
/*
 * array: an array that grows.
 * It has room for the next power of two, so that nobody has to keep how much there is. What lies in
 * it is moved as realloc(3) moves it: nothing secret.
 */
#ifndef MORTISE_ARRAY_H
#define MORTISE_ARRAY_H

#include <stdint.h>
#include <stdlib.h>

/*
 * items has count of size bytes each, and never had room from elsewhere; NULL if there are none
 * yet. The same with room for one more; NULL without memory: then items stay where they are.
 */
static inline void *array_room(void *items, size_t count, size_t size)
{
	if (count & (count - 1))
		return items;
	return count > SIZE_MAX / 2 ? NULL : reallocarray(items, count ? 2 * count : 1, size);
}

#endif
