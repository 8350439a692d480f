/* SPDX-License-Identifier: ISC */
/*
 * libmortise: ask the mortise agent on this host for secrets.
 *
 * A connection belongs to one thread at a time. It is opened lazily again after a
 * fork, since the agent answers only the process that connected. Nothing is logged,
 * no signal is raised, no environment variable is read except MORTISE_SOCKET, and
 * that one not in a set-uid program.
 *
 *	struct mortise *agent;
 *	char password[256];
 *	size_t size;
 *
 *	if (mortise_open(NULL, &agent) == MORTISE_OK &&
 *	    mortise_get(agent, "prod/db/password", password, sizeof password, &size) == MORTISE_OK)
 *		log_in(password, size);
 *	mortise_wipe(password, sizeof password);
 *	mortise_close(agent);
 */
#ifndef MORTISE_H
#define MORTISE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MORTISE_VALUE_MAX 65536 /* bytes in a value; 0 is allowed */
#define MORTISE_PATH_MAX  255   /* bytes in a path, without the closing NUL */

/* The same numbers travel on the wire (docs/protocol.md). */
enum mortise_status {
	MORTISE_OK = 0,
	MORTISE_INVALID = 1,      /* a name, size or field is malformed or out of bounds */
	MORTISE_DENIED = 2,       /* denied, or no such secret for you */
	MORTISE_NOT_FOUND = 3,    /* you may ask, but there is no such secret or version */
	MORTISE_CONFLICT = 4,     /* things are not as the request expects them */
	MORTISE_SEALED = 5,       /* the agent does not hold its master key */
	MORTISE_BUSY = 6,         /* over a limit, or the audit log can't be written: try again */
	MORTISE_INTEGRITY = 7,    /* the store or the log is not what mortise wrote */
	MORTISE_IO = 8,           /* a disk or a socket failed */
	MORTISE_HARDWARE = 9,     /* the TPM or token failed; the text says what to do */
	MORTISE_UNREACHABLE = 10, /* no agent behind the socket, or not one to be trusted */
	MORTISE_REJECTED = 11,    /* a policy or configuration is wrong; the text says where */
};

struct mortise;

/*
 * Connects to the agent at socket_path; NULL means MORTISE_SOCKET, or else
 * /run/mortise/mortise.sock. The server must run as root, as the owner of the socket
 * file's directory, or as the caller. *out is set on failure too, if memory allows, so
 * that mortise_message() can say why. MORTISE_UNREACHABLE, MORTISE_INVALID; MORTISE_IO
 * without memory.
 */
enum mortise_status mortise_open(const char *socket_path, struct mortise **out_agent)
	__attribute__((warn_unused_result));

/* Closes and frees; NULL is allowed. */
void mortise_close(struct mortise *agent);

/*
 * How long later calls may take, in milliseconds (10,000 at first). With wait_ms above
 * 0 a call also waits, so long altogether, for an agent that is absent, sealed or busy;
 * it never waits on a denial.
 */
void mortise_set_deadline(struct mortise *agent, int deadline_ms, int wait_ms);

/*
 * Copies the current version of the secret at path into buffer (0 to 65,536 bytes, no
 * NUL is added). MORTISE_INVALID if it is larger than buffer, with the size needed in
 * *out_size. The library's own copies are wiped before it returns.
 */
enum mortise_status mortise_get(struct mortise *agent, const char *path, void *buffer,
	size_t buffer_size, size_t *out_size) __attribute__((warn_unused_result));

/* A secret that is asked for along with others. */
struct mortise_wanted {
	const char *path;
	void *buffer; /* gets the value */
	size_t buffer_size;
	size_t size;      /* of the value; above buffer_size: it is not in buffer */
	uint64_t version; /* its current version; 0 where there is none to be told */
	enum mortise_status status;
};

/*
 * Asks for up to 256 secrets at once: their values are of one moment, and each has a status of
 * its own. MORTISE_OK if all are in their buffers; otherwise the first status that is another,
 * and mortise_message() says that one's. A buffer without a value is left alone. MORTISE_INVALID
 * for one that is larger than its buffer, and for all if they make more than a frame (128 KiB).
 */
enum mortise_status mortise_get_each(struct mortise *agent, struct mortise_wanted *wanted,
	size_t count) __attribute__((warn_unused_result));

/*
 * Stores size bytes as the newest version of the secret at path. A call that is repeated
 * by the library after a lost connection is done once. out_version may be NULL.
 */
enum mortise_status mortise_set(struct mortise *agent, const char *path, const void *value,
	size_t size, uint64_t *out_version) __attribute__((warn_unused_result));

/* A secret that is watched. */
struct mortise_watched {
	const char *path;
	uint64_t version; /* the current one, as far as known; 0: none, or not known */
	int has_changed;  /* set by mortise_watch() */
};

/*
 * Waits until one of up to 64 secrets has another current version than the one known, which a
 * deletion is, too (version 0); sets version and has_changed of all that have. *out_changed is
 * how many: 0 with MORTISE_OK when timeout_ms is over. A negative timeout_ms waits for ever; 0
 * only looks, and is how to learn the versions at first. Values are not told: get them.
 * While it waits it survives an agent that is restarted, sealed or busy, for as long as there is
 * time, and misses no change: only the last of several in between is told. MORTISE_DENIED, with
 * the path in mortise_message(), where one may not be read, or not any more.
 */
enum mortise_status mortise_watch(struct mortise *agent, struct mortise_watched *watched,
	size_t count, int timeout_ms, size_t *out_changed) __attribute__((warn_unused_result));

/* Overwrites size bytes in a way that the compiler keeps; NULL is allowed with 0. */
void mortise_wipe(void *buffer, size_t size);

/* One line, without a newline, about the last call that failed; never NULL, never a value. */
const char *mortise_message(const struct mortise *agent);

/* A few words for a status; never NULL. */
const char *mortise_status_text(enum mortise_status status);

#ifdef __cplusplus
}
#endif
#endif
