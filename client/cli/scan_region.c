/* SPDX-License-Identifier: ISC */
#include "scan_region.h"

#include <sys/mman.h>

#include "client.h"

#define FIRST_CAPACITY 65536

bool scan_region_grow(struct scan_region *region, size_t size)
{
	size_t capacity = region->capacity;
	void *bytes;

	while (region->used + size > capacity)
		capacity = capacity == 0 ? FIRST_CAPACITY : 2 * capacity;
	if (capacity == region->capacity)
		return true;
	if (region->bytes == NULL)
		bytes = mmap(
			NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	else
		bytes = mremap(region->bytes, region->capacity, capacity, MREMAP_MAYMOVE);
	if (bytes == MAP_FAILED)
		return false;
	(void)madvise(bytes, capacity, MADV_DONTDUMP);
	region->bytes = bytes;
	region->capacity = capacity;
	return true;
}

void scan_region_release(struct scan_region *region)
{
	if (region->bytes == NULL)
		return;
	mortise_wipe(region->bytes, region->used);
	(void)munmap(region->bytes, region->capacity);
	*region = (struct scan_region){0};
}
