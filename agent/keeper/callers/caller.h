/* SPDX-License-Identifier: ISC */
/*
 * caller: the process at the other end of a connection, as the kernel describes it.
 * Nothing here comes from the caller itself. Evidence is gathered when it connects; each frame
 * must come from that very process, alive when the frame was read. What cannot be had denies.
 * Knows nothing of policy, frames' contents or the event loop.
 */
#ifndef MORTISE_CALLER_H
#define MORTISE_CALLER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "policy.h"
#include "status.h"
#include "witness_link.h"

#define CALLER_CHALLENGE_SIZE 16
/* Supplementary ones that are kept; who has more has none. The kernel allows 65,536. */
#define CALLER_GROUPS_MAX 1024u

/* How the kernel pins the process. */
enum caller_evidence {
	CALLER_PEERPIDFD, /* SO_PEERPIDFD, Linux 6.5 */
	CALLER_HELLO,     /* pidfd_open, proven by an exchange while it lives */
};

struct caller {
	struct subject subject;
	uint32_t pid, gid;
	int pidfd; /* -1: not pinned yet; greet first */
	bool is_pinned;
	bool owes_ids; /* the kernel tells them by /proc only, where nobody has looked yet */
	enum caller_evidence evidence;
	uint8_t challenge[CALLER_CHALLENGE_SIZE];
	uint32_t *groups;
	int descriptor;     /* the connection, borrowed */
	uint64_t cgroup_id; /* as it was pinned; 0: this kernel does not tell */

	/* See evidence.h, which fills them in; the subject's facts point at these texts. */
	char *texts[FACT_COUNT];
	bool is_looked_up;       /* the witness has looked into its /proc/PID, or could not */
	const char *trouble;     /* why it could not; NULL: it could */
	const char *exe_trouble; /* likewise, for its program */
	const char *lack;        /* why a fact could not be kept that was found; NULL: none was */
	struct witness_question question;
	void (*told)(void *context); /* of its answer */
	void *told_context;
	bool has_login;
	uint32_t login_uid, session; /* UINT32_MAX: none */
};

/*
 * Who connected to descriptor. MORTISE_DENIED for pid 0, the overflow uid, a process whose
 * real and effective ids differ, or any look-up that failed; MORTISE_BUSY without memory or
 * descriptors. On a kernel without SO_PEERPIDFD the caller is not pinned yet.
 */
enum mortise_status caller_identify(int descriptor, struct caller *out_caller) MUST_USE;
void caller_done(struct caller *caller);

/*
 * Before it is served, once the witness has looked: are its real ids its effective ones? At once
 * where the kernel had told. MORTISE_DENIED; MORTISE_BUSY: they cannot be had now.
 */
enum mortise_status caller_confirm(struct caller *caller) MUST_USE;

/* Does the pinned process live? Then its pid has been its own for all the time before. */
bool caller_is_alive(const struct caller *caller);

/* The id of the cgroup (v2) it is in now, by the pidfd; 0 where the kernel does not tell. */
uint64_t caller_cgroup_id(const struct caller *caller);

/*
 * Is sender (the SCM_CREDENTIALS of a frame just received; NULL: there were none) the process
 * that connected, and does it still live? MORTISE_DENIED.
 */
enum mortise_status caller_check_sender(const struct caller *caller, const struct ucred *sender)
	MUST_USE;

/*
 * For a caller not pinned yet: opens a pidfd on the sender and draws a challenge that a later
 * frame must bring back. That frame was sent while the pidfd's process lived, so it is that
 * process that sent it.
 */
enum mortise_status caller_greet(struct caller *caller) MUST_USE;
/* The challenge came back in a frame that caller_check_sender() accepted. */
enum mortise_status caller_pin(struct caller *caller, const uint8_t *answer, size_t size) MUST_USE;

/* What is in force on this kernel, for `status`: "pidfd" or "hello". */
const char *caller_evidence_name(enum caller_evidence evidence);

/* Does this kernel name the connector (SO_PEERPIDFD)? Asks it; not within the sandbox. */
bool caller_kernel_names(void);

/* Is gid among the caller's groups? */
bool caller_has_group(const struct caller *caller, uint32_t gid);

#endif
