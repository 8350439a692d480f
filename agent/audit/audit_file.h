/* SPDX-License-Identifier: ISC */
/*
 * audit_file: the audit log's file, and the thread that waits for the disk.
 * Opens only what is ours, keeps a reserve of blocks for a full disk, takes back what was
 * written in part. Knows nothing of what lines mean, except where the last whole one ends.
 */
#ifndef MORTISE_AUDIT_FILE_H
#define MORTISE_AUDIT_FILE_H

#include <pthread.h>
#include <sys/types.h>

#include "audit.h"

#define AUDIT_RESERVE_SIZE 1048576
/* Of that the last part is for lines of administrators, who free some room. */
#define AUDIT_RESERVE_LAST 262144
/* More garbage than this at the end of a log is not from a crash: it is not our log. */
#define AUDIT_TORN_MAX 1048576

struct audit_file {
	char *path;
	int fd;
	dev_t device;
	ino_t inode;
	uint64_t reserved_end; /* blocks are allocated up to here */
	uint64_t renew_at;     /* size at which the reserve is tried again */
	uint64_t cut_to;
	bool can_reserve;
	bool is_on_reserve;
	bool needs_cut;    /* bytes behind cut_to are of a write that failed */
	bool needs_reopen; /* fdatasync failed: a later success here would prove nothing */
};

/* Where the chain goes on. */
struct audit_position {
	uint64_t offset;
	uint64_t sequence; /* of the line before; 0: none */
	uint8_t head[AUDIT_HASH_SIZE];
};

/* MORTISE_IO, MORTISE_REJECTED, or MORTISE_CONFLICT: another process writes this log. */
enum mortise_status audit_file_open(const char *path, struct audit_file *out_file) MUST_USE;
void audit_file_close(struct audit_file *file);

/*
 * The end of the last whole line, and how many bytes follow it. MORTISE_REJECTED if there
 * is no line of ours near the end of a file that is not empty.
 */
enum mortise_status audit_file_find_end(
	const struct audit_file *file, struct audit_position *out_end, uint64_t *out_torn) MUST_USE;

/* All or, after audit_file_cut(), nothing. MORTISE_IO. */
enum mortise_status audit_file_write(
	struct audit_file *file, uint64_t offset, const void *bytes, size_t size) MUST_USE;

/*
 * Would a write at the end (offset) succeed by now? One of a line's size is made, synced if lines
 * are, and taken back.
 */
enum mortise_status audit_file_try(struct audit_file *file, uint64_t offset, bool sync) MUST_USE;
/* Space may have been freed: takes the reserve anew, and is not on it any more. */
void audit_file_look_again(struct audit_file *file, uint64_t size);

/* Up to size bytes; fewer only at the end of the file. */
enum mortise_status audit_file_read(const struct audit_file *file, uint64_t offset, void *buffer,
	size_t size, size_t *out_size) MUST_USE;

/* Is what its path names still this file? */
bool audit_file_is_in_place(const struct audit_file *file);

/* If it fails it is tried again before the next write. */
void audit_file_cut(struct audit_file *file, uint64_t size);

/* On a full disk: would a log of so many bytes be in the reserve's last part? */
bool audit_file_is_scarce(const struct audit_file *file, uint64_t size);

/* fdatasync; after a failure the file wants audit_file_reopen(). */
enum mortise_status audit_file_sync(struct audit_file *file) MUST_USE;
enum mortise_status audit_file_reopen(struct audit_file *file) MUST_USE;

/* The thread. It is given a descriptor and nothing else; all signals are blocked in it. */
struct audit_syncer {
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t wake;
	int fd;    /* the job; -1: none */
	int event; /* an eventfd */
	bool has_failed;
	bool is_ending;
};

enum mortise_status audit_syncer_start(struct audit_syncer *syncer) MUST_USE;
/* Waits for a job under way. */
void audit_syncer_stop(struct audit_syncer *syncer);
/* fd -1: is done at once. The one before must have ended. */
void audit_syncer_begin(struct audit_syncer *syncer, int fd);
/* MORTISE_BUSY: not yet. MORTISE_IO: fdatasync failed. */
enum mortise_status audit_syncer_end(struct audit_syncer *syncer) MUST_USE;

#endif
