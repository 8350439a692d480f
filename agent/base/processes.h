/* SPDX-License-Identifier: ISC */
/*
 * processes: what monitor, keeper and sealer say to one another.
 * Frames of wire.h over SOCK_SEQPACKET pairs. The monitor is trusted by both; the keeper
 * treats every word of the sealer as hostile.
 *
 *	monitor <-> keeper  one pair for the keeper's life, the keeper's descriptor 3
 *	keeper  <-> sealer  one pair for one run, the sealer's descriptor 3
 *	keeper  <-> witness one pair for the witness's life, its descriptor 3
 *
 *	CONFIGURE  monitor -> keeper, the first frame. STORE (directory), AUDIT_LOG
 *	           (file), ENVIRONMENT, IDS (uids, then see below), FLAGS, NUMBER
 *	           (milliseconds until a sealer is overdue), COUNTER (seconds that commits
 *	           may wait for the anchor), DELETED (seconds until a
 *	           deleted secret is purged; 0: never), HASH (absent: no file) and LATER.
 *	           Its descriptors
 *	           are the listening sockets, in the order of the items of ITEMS: NAME and
 *	           NUMBER (the verbs that may be asked there, bits of enum verb; only "main"
 *	           may leave it out, for all). One item more may be for the socket of service
 *	           managers: FLAGS (PROCESS_FOR_CREDENTIALS), and NUMBER is how many milliseconds
 *	           they wait while sealed. There the keeper sees that somebody waits, and accepts
 *	           nobody (see ACCEPT).
 *	           Again, without descriptors, when the file was read anew: then ENVIRONMENT,
 *	           the operators, NUMBER, REQUIRE_PIDFD, HASH and LATER count, and the rest is as
 *	           it was.
 *	READY      keeper -> monitor: TEXT is one line of state, NUMBER 1 when unsealed, and
 *	           FLAGS (PROCESS_WAITS_FOR_PIN, or absent); sent again whenever they
 *	           change, and every few seconds: a loop that turns.
 *	SPAWN      keeper -> monitor. The answer has the same request id and either
 *	           MORTISE_OK with one descriptor (the sealer's socket) or a status and TEXT. One
 *	           sealer runs at a time: a request waits until the one before has ended.
 *	WITNESS    keeper -> monitor: NUMBER, which of PROCESS_WITNESSES places; a new witness
 *	           for it, and the one before is killed. The answer: MORTISE_OK with one descriptor
 *	           (the witness's socket), or a status and TEXT.
 *	RESOLVE    keeper -> monitor: USERS and GROUPS, lists of names. The answer has ITEMS,
 *	           one per name asked, users first: STATUS (MORTISE_OK; MORTISE_NOT_FOUND: for
 *	           certain no such name; MORTISE_IO: could not be asked), NAME, NUMBER (the
 *	           id), for a user IDS (all its gids). A name of digits is an id: it is looked
 *	           up by id, and is MORTISE_OK with that id even where no entry exists.
 *	ACCEPT     keeper -> monitor: the next connection of a service manager. The answer:
 *	           MORTISE_OK, one descriptor and NUMBER, which names it; MORTISE_NOT_FOUND:
 *	           nobody waits; MORTISE_BUSY: none can be had now. The monitor holds it, too.
 *	RELEASE    keeper -> monitor: STATUS and NUMBER. MORTISE_OK: the value has left whole,
 *	           and the connection is closed; anything else: the monitor refuses it, as it
 *	           does with what is not released when the keeper ends. There is no answer.
 *	LOOK       keeper -> witness: NUMBER, a pid. The answer, MORTISE_OK, comes when the names
 *	           PROCESS_LOOKED_AT of /proc/PID are in the kernel's memory, if they exist.
 *	EXE        keeper -> witness: NUMBER, a pid. The answer: MORTISE_OK and TEXT, the absolute
 *	           path of the program it runs, if that is the file which has this path here; or
 *	           MORTISE_NOT_FOUND. The keeper makes sure that the process lives before and
 *	           after, and so that the pid was its own. It asks for one at a time.
 *	ENROL      keeper -> sealer: SLOT_KIND, ENTROPY, and what is wished of the seal: PIN,
 *	           URI, PCRS, PUBLIC_KEY (each may be absent). The answer: KEY (h), BLOB,
 *	           and URI if there was one: the token that was found.
 *	OPEN       keeper -> sealer: SLOT_KIND, BLOB, and PIN if there is one. The answer: KEY (h).
 *	ANCHOR     keeper -> sealer: SLOT_KIND, NUMBER (enum token_anchor_action), KEY (the
 *	           counter's authorisation); BLOB (its place) but for DEFINE; COUNTER (where it
 *	           must stand) for INCREMENT. The answer: COUNTER but for REMOVE; BLOB for DEFINE.
 *	HEALTH     keeper -> sealer: SLOT_KIND, BLOB. Nothing is opened and no PIN is tried. The
 *	           answer: NUMBER (bits of enum token_health_flag), IDS (three numbers: tries that
 *	           failed, tries there are, seconds until one of them is given back; zeros where
 *	           the hardware counts none).
 *	           A sealer that fails answers MORTISE_HARDWARE with FAULT (enum token_fault)
 *	           and TEXT (what the hardware said; ASCII, one line), and ends. After a success it
 *	           takes the next request, until its socket is closed or its deadline comes.
 */
#ifndef MORTISE_PROCESSES_H
#define MORTISE_PROCESSES_H

#define PROCESS_FD 3

#define PROCESS_WITNESSES     2
#define PROCESS_LISTENERS_MAX 17  /* main, 15 of [socket NAME], credentials */
#define PROCESS_HASH_SIZE     32  /* BLAKE2b-256 */
#define PROCESS_LATER_SIZE    256 /* with its NUL */
#define PROCESS_NAME_MAX      64  /* bytes in a listener's name */

enum process_opcode {
	PROCESS_CONFIGURE = 512,
	PROCESS_READY = 513,
	PROCESS_SPAWN = 514,
	PROCESS_RESOLVE = 515,
	PROCESS_ACCEPT = 516,
	PROCESS_RELEASE = 517,
	PROCESS_WITNESS = 518,
	WITNESS_EXE = 520,
	WITNESS_LOOK = 521,
	SEALER_ENROL = 528,
	SEALER_OPEN = 529,
	SEALER_ANCHOR = 530,
	SEALER_HEALTH = 531,
};

/* What a field of these frames is. */
enum process_tag {
	PROCESS_TAG_TEXT = 1,   /* for a person; one line */
	PROCESS_TAG_STATUS = 2, /* number */
	PROCESS_TAG_ITEMS = 3,  /* list; each item is a run of fields */
	PROCESS_TAG_NAME = 4,
	PROCESS_TAG_NUMBER = 5,     /* number; see above */
	PROCESS_TAG_SLOT_KIND = 6,  /* of slot_kinds.h */
	PROCESS_TAG_DELETED = 7,    /* number: seconds */
	PROCESS_TAG_PIN = 8,        /* of a token, as it is typed */
	PROCESS_TAG_URI = 9,        /* of a PKCS #11 token (RFC 7512), without a PIN */
	PROCESS_TAG_PCRS = 10,      /* number: bit n stands for PCR n */
	PROCESS_TAG_KEY = 11,       /* 32 bytes */
	PROCESS_TAG_BLOB = 12,      /* what a token keeps outside itself */
	PROCESS_TAG_ENTROPY = 13,   /* 32 bytes */
	PROCESS_TAG_FAULT = 14,     /* number: enum token_fault */
	PROCESS_TAG_IDS = 15,       /* numbers of four bytes, packed */
	PROCESS_TAG_STORE = 16,     /* absolute path of a directory */
	PROCESS_TAG_AUDIT_LOG = 17, /* absolute path of a file */
	PROCESS_TAG_FLAGS = 18,     /* number: bits */
	PROCESS_TAG_ENVIRONMENT = 19,
	PROCESS_TAG_USERS = 20,      /* list of names */
	PROCESS_TAG_GROUPS = 21,     /* list of names */
	PROCESS_TAG_PUBLIC_KEY = 22, /* PEM */
	PROCESS_TAG_COUNTER = 23, /* number: where a TPM's counter stands; seconds in CONFIGURE */
	PROCESS_TAG_HASH = 24,    /* 32 bytes: of the configuration's file */
	PROCESS_TAG_LATER = 25,   /* keys of that file that wait for a restart */
};

/* FLAGS of CONFIGURE. */
#define PROCESS_AUDIT_SYNC_ALWAYS 1u  /* the audit line is on disk before its reply leaves */
#define PROCESS_REQUIRE_PIDFD     2u  /* who cannot be named by SO_PEERPIDFD is denied */
#define PROCESS_HAS_WITNESS       4u  /* WITNESS may be asked for */
#define PROCESS_INSECURE_MEMORY   8u  /* secrets may lie in memory that cannot be locked */
#define PROCESS_EXE_EVIDENCE      16u /* EXE may be asked */

/* What the keeper reads of a caller's /proc/PID. */
#define PROCESS_LOOKED_AT "status", "cgroup", "loginuid", "sessionid"

/* FLAGS of READY. */
#define PROCESS_WAITS_FOR_PIN 1u /* somebody who types a slot's PIN can open the store */

/* FLAGS of an item of CONFIGURE. */
#define PROCESS_FOR_CREDENTIALS 1u

/* IDS: u32 little-endian, packed. Of CONFIGURE: */
#define PROCESS_ID_AGENT     0 /* the keeper's uid */
#define PROCESS_ID_FIRST     1 /* the uid to which the first policy gives every verb */
#define PROCESS_ID_OPERATORS 2 /* gid that may unseal and recover; UINT32_MAX: none */
#define PROCESS_IDS          3

/* Of HEALTH's answer: */
#define HEALTH_TRIES_FAILED 0
#define HEALTH_TRIES_MAX    1
#define HEALTH_BACK_S       2
#define HEALTH_IDLE_PCRS    3
#define HEALTH_IDS          4

#endif
