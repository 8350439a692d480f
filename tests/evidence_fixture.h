/* SPDX-License-Identifier: ISC */
/*
 * evidence_fixture: a process that connects, whose files in /proc say what the test likes (bound
 * over in a mount namespace of the test's own; root only), whose kernel answers as the test
 * likes (getsockopt and ioctl, between test and libc), and a witness that plays along.
 */
#ifndef MORTISE_TESTS_EVIDENCE_FIXTURE_H
#define MORTISE_TESTS_EVIDENCE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include "evidence.h"
#include "monitor_link.h"
#include "mortise_test.h"

#define PEER_UID   34u
#define PEER_GID   34u
#define PEER_GROUP 50u

/* What the kernel is made to say; all 0: what it says by itself. */
struct kernel_word {
	int option, error; /* getsockopt(option) fails with error */
	bool fakes_peer;
	struct ucred peer;
	const char *label; /* SO_PEERSEC; NULL: the kernel's own word */
	bool has_no_info;  /* PIDFD_GET_INFO is not known */
	uint64_t cgroup_id;
	uint64_t next_cgroup_id; /* from the second look on; 0: the same */
	unsigned looks;
	char next_file[96]; /* "", or what gets the next text when it is next asked whether it lives
			     */
	const char *next_text;
};
extern struct kernel_word kernel_word;

struct peer {
	pid_t pid;
	int connection, listener;
	char directory[64];
	struct caller caller;
	struct evidence *evidence;
	struct event_base *base; /* NULL: nobody has a witness */
	struct monitor_link *monitor;
	struct event *asked; /* of the test, which is the monitor */
	int monitor_ends[2];
	const char *witness_says;
	struct witness_timing timing;
	bool is_told;
};

/* For cmocka: a namespace of our own, or a skip of all; then a peer for each test. */
int set_up_namespace(void **state);
int set_up_peer(void **state);
int tear_down_peer(void **state);

/* Puts text in place of the peer's /proc/PID/name. */
void peer_proc(struct peer *peer, const char *name, const char *text);
void peer_unit(struct peer *peer, const char *unit);
/* The same, from its next look at /proc/PID/name on. */
void peer_proc_next(struct peer *peer, const char *name, const char *text);
/* Identifies the peer, anew each time; must work. */
void peer_identify(struct peer *peer);
enum mortise_status peer_try(struct peer *peer);
void peer_kill(struct peer *peer);
/* No descriptor can be opened until it is given false. */
void peer_no_files(bool none);

/* Gathers one fact: its text, or NULL if it cannot be had. */
const char *peer_fact(struct peer *peer, enum attribute attribute);

/* A witness that answers each question with this; NULL: not at all, "": what is no frame. */
void peer_witness(struct peer *peer, const char *path);

#define OPTION_PEERPIDFD 77 /* SO_PEERPIDFD: Debian 12's headers are older */

#define NEEDS_ROOT()                                                                               \
	do {                                                                                       \
		if (geteuid() != 0)                                                                \
			skip();                                                                    \
	} while (0)

#endif
