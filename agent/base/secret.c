/* SPDX-License-Identifier: ISC */
/*
 * The pool is cut into granules of 64 bytes. A table outside it holds, for the first granule
 * of each secret, how many it has, and 0 for all others. The search goes on where the last
 * one ended, or from where one before that was given back, and steps over whole secrets: a
 * small secret is found at once, in memory that the last one has left in the processor's cache.
 *
 * Free granules are always zero: they are wiped when they are given back.
 */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sodium.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#ifdef HAS_ASAN
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

#define GRANULE       64
#define POOL_SIZE_MAX ((size_t)1 << 32)

static struct {
	uint8_t *bytes; /* NULL: not open */
	size_t size;
	size_t guard_size;
	uint32_t *run; /* one number for each granule */
	size_t granules;
	size_t free_granules;
	size_t next; /* where the search begins: always between two secrets */
	const char *protection;
} pool = {.protection = "none"};

const char *secret_pool_protection(void)
{
	return pool.protection;
}

static bool map_memfd_secret(void *where, size_t size)
{
#ifdef MORTISE_NO_MEMFD_SECRET
	(void)where;
	(void)size;
	return false;
#else
	int fd = (int)syscall(SYS_memfd_secret, (unsigned)O_CLOEXEC);
	bool is_mapped;

	if (fd < 0)
		return false;
	is_mapped = ftruncate(fd, (off_t)size) == 0 &&
		    mmap(where, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) !=
			    MAP_FAILED;
	close(fd);
	return is_mapped;
#endif
}

static bool map_plain(void *where, size_t size)
{
	return mmap(where, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		       -1, 0) != MAP_FAILED;
}

/* NULL: not mapped as it must be. */
static const char *map_protected(void *where, size_t size, bool must_lock)
{
	if (map_memfd_secret(where, size))
		return "memfd_secret";
	if (!map_plain(where, size))
		return NULL;
	/* Not mlock(): AddressSanitizer makes that one do nothing and say that it worked. */
	if (syscall(SYS_mlock, where, size) == 0)
		return "mlock";
	return must_lock ? NULL : "none";
}

static bool keep_private(void *where, size_t size)
{
	return madvise(where, size, MADV_DONTDUMP) == 0 && madvise(where, size, MADV_DONTFORK) == 0;
}

/* The pool between two pages that nobody can touch; *out_protection says what holds it. */
static uint8_t *map_guarded(
	size_t size, size_t guard_size, bool must_lock, const char **out_protection)
{
	uint8_t *around =
		mmap(NULL, size + 2 * guard_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const char *protection;
	int error;

	if (around == MAP_FAILED)
		return NULL;
	protection = map_protected(around + guard_size, size, must_lock);
	if (!protection || !keep_private(around + guard_size, size)) {
		error = errno;
		munmap(around, size + 2 * guard_size);
		errno = error;
		return NULL;
	}
	*out_protection = protection;
	return around + guard_size;
}

#ifdef HAS_ASAN
/* In a child there is no pool, and where it was the next library may be loaded. */
static void forget_poison(void)
{
	if (pool.bytes)
		ASAN_UNPOISON_MEMORY_REGION(pool.bytes, pool.size);
}
#endif

static enum mortise_status open_pool(size_t size_bytes, bool must_lock)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	size_t size;
	uint32_t *run;
	uint8_t *bytes;

	if (pool.bytes || size_bytes == 0 || size_bytes > POOL_SIZE_MAX) {
		errno = EINVAL;
		return MORTISE_IO;
	}
	size = (size_bytes + page_size - 1) / page_size * page_size;
	run = calloc(size / GRANULE, sizeof *run);
	if (!run)
		return MORTISE_IO;
	bytes = map_guarded(size, page_size, must_lock, &pool.protection);
	if (!bytes) {
		free(run);
		return MORTISE_IO;
	}
	/* Touched now: a page that cannot be had later would be a SIGBUS. */
	memset(bytes, 0, size);
	ASAN_POISON_MEMORY_REGION(bytes, size);
#ifdef HAS_ASAN
	(void)pthread_atfork(NULL, NULL, forget_poison);
#endif
	pool.bytes = bytes;
	pool.size = size;
	pool.guard_size = page_size;
	pool.run = run;
	pool.granules = size / GRANULE;
	pool.free_granules = pool.granules;
	pool.next = 0;
	return MORTISE_OK;
}

enum mortise_status secret_pool_open(size_t size_bytes)
{
	return open_pool(size_bytes, true);
}

enum mortise_status secret_pool_open_anyhow(size_t size_bytes)
{
	return open_pool(size_bytes, false);
}

void secret_pool_close(void)
{
	if (!pool.bytes)
		return;
	ASAN_UNPOISON_MEMORY_REGION(pool.bytes, pool.size);
	sodium_memzero(pool.bytes, pool.size);
	munmap(pool.bytes - pool.guard_size, pool.size + 2 * pool.guard_size);
	free(pool.run);
	memset(&pool, 0, sizeof pool);
	pool.protection = "none";
}

static size_t granules_of(size_t size)
{
	return (sizeof(struct secret) + size + GRANULE - 1) / GRANULE;
}

size_t secret_pool_room(void)
{
	size_t room = pool.free_granules * GRANULE;

	return room == 0 ? 0 : room - sizeof(struct secret);
}

/* The first of count free granules between two borders of secrets, or to. */
static size_t find_between(size_t from, size_t to, size_t count)
{
	size_t found = 0;
	size_t at = from;

	while (at < to) {
		if (pool.run[at] != 0) {
			at += pool.run[at];
			found = 0;
			continue;
		}
		at++;
		if (++found == count)
			return at - count;
	}
	return to;
}

/* The first of count free granules, or pool.granules. */
static size_t find_room(size_t count)
{
	size_t at = pool.granules;
	size_t overlap;

	if (count > pool.free_granules)
		return pool.granules;
	at = find_between(pool.next, pool.granules, count);
	if (at < pool.granules)
		return at;
	/* A run may lie across the point where the search began. */
	overlap = pool.granules - pool.next;
	if (overlap > count - 1)
		overlap = count - 1;
	at = find_between(0, pool.next + overlap, count);
	return at < pool.next ? at : pool.granules;
}

enum mortise_status secret_new(size_t size, struct secret **out_secret)
{
	struct secret *secret;
	size_t count, at;

	if (!pool.bytes || size > pool.size)
		return MORTISE_BUSY;
	count = granules_of(size);
	at = find_room(count);
	if (at == pool.granules)
		return MORTISE_BUSY;
	pool.run[at] = (uint32_t)count;
	pool.free_granules -= count;
	pool.next = at + count;
	secret = (struct secret *)(void *)(pool.bytes + at * GRANULE);
	ASAN_UNPOISON_MEMORY_REGION(secret, sizeof *secret + size);
	secret->size = size;
	*out_secret = secret;
	return MORTISE_OK;
}

enum mortise_status secret_copy(const void *bytes, size_t size, struct secret **out_secret)
{
	struct secret *secret;

	TRY(secret_new(size, &secret));
	if (size > 0)
		memcpy(secret->bytes, bytes, size);
	*out_secret = secret;
	return MORTISE_OK;
}

enum mortise_status secret_random(size_t size, struct secret **out_secret)
{
	struct secret *secret;

	TRY(secret_new(size, &secret));
	randombytes_buf(secret->bytes, size);
	*out_secret = secret;
	return MORTISE_OK;
}

/*
 * The first granule of a secret that is alive. Anything else means that memory is corrupt
 * already, and no status could be trusted to reach anyone.
 */
static size_t granule_of(const struct secret *secret)
{
	size_t offset = (size_t)((uintptr_t)secret - (uintptr_t)pool.bytes);

	if (!pool.bytes || offset >= pool.size || offset % GRANULE != 0 ||
		pool.run[offset / GRANULE] == 0)
		abort();
	return offset / GRANULE;
}

/* Wipes and gives back the granules from keep on. */
static void give_back(size_t at, size_t keep)
{
	size_t count = pool.run[at] - keep;
	uint8_t *bytes = pool.bytes + (at + keep) * GRANULE;

	ASAN_UNPOISON_MEMORY_REGION(bytes, count * GRANULE);
	sodium_memzero(bytes, count * GRANULE);
	ASAN_POISON_MEMORY_REGION(bytes, count * GRANULE);
	pool.run[at] = (uint32_t)keep;
	pool.free_granules += count;
	if (at + keep < pool.next)
		pool.next = at + keep;
}

void secret_shrink(struct secret *secret, size_t size)
{
	size_t at = granule_of(secret);
	size_t keep = granules_of(size);

	if (size > secret->size || keep > pool.run[at])
		abort();
	sodium_memzero(secret->bytes + size, secret->size - size);
	secret->size = size;
	give_back(at, keep);
	ASAN_POISON_MEMORY_REGION(secret->bytes + size, keep * GRANULE - sizeof *secret - size);
}

void secret_free(struct secret *secret)
{
	if (secret)
		give_back(granule_of(secret), 0);
}

void secret_drop(struct secret **secret)
{
	secret_free(*secret);
	*secret = NULL;
}

struct secret *secret_take(struct secret **secret)
{
	struct secret *taken = *secret;

	*secret = NULL;
	return taken;
}

bool secret_equals(const struct secret *a, const struct secret *b)
{
	return a->size == b->size && sodium_memcmp(a->bytes, b->bytes, a->size) == 0;
}
