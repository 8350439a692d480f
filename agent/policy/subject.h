/* SPDX-License-Identifier: ISC */
/*
 * subject: who asks, as the kernel says it (or, for `policy check`, as an admin supposes).
 * The forms in which facts about a caller reach the policy. Pure; gathers nothing.
 */
#ifndef MORTISE_SUBJECT_H
#define MORTISE_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* What a rule can ask for. What is between the ids and the times is a fact about the caller. */
enum attribute {
	ATTRIBUTE_SECRET,
	ATTRIBUTE_USER,
	ATTRIBUTE_GROUP,
	ATTRIBUTE_UNIT,
	ATTRIBUTE_EXE,
	ATTRIBUTE_LABEL,
	ATTRIBUTE_SOCKET,
	ATTRIBUTE_HOURS,
	ATTRIBUTE_DAYS,
	ATTRIBUTE_EXPIRES,
	ATTRIBUTE_COUNT,
	ATTRIBUTE_FACTS = ATTRIBUTE_UNIT, /* the first fact, and what follows the last one */
	ATTRIBUTE_FACTS_END = ATTRIBUTE_HOURS,
	ATTRIBUTE_VERB = ATTRIBUTE_COUNT, /* these two only in explanations */
	ATTRIBUTE_NAME,
};

/* "secret", as in a rule; "verb"; "name". */
const char *attribute_name(enum attribute attribute);

#define FACT_COUNT (ATTRIBUTE_FACTS_END - ATTRIBUTE_FACTS)
#define SUBJECT_FACTS                                                                              \
	((1u << ATTRIBUTE_FACTS_END) - (1u << ATTRIBUTE_FACTS)) /* bits 1 << attribute */

#define SUBJECT_SOCKET_MAIN "main" /* the agent's own listener */
#define SUBJECT_SOCKET_CREDENTIALS                                                                 \
	"credentials"          /* that of the service manager; no [socket NAME] is called so */
#define SUBJECT_NAMES_MAX 4096 /* bytes in the text of a fact, with its NUL */
#define SUBJECT_UNSAID    "-"  /* a fact that nobody said: one that no rule can name */

enum fact_state {
	FACT_UNGATHERED,
	FACT_UNKNOWN, /* cannot be had: matches no allow and every deny */
	FACT_KNOWN,
};

struct fact {
	enum fact_state state;
	const char *text; /* of FACT_KNOWN */
};

struct subject {
	uint32_t uid;
	const uint32_t *groups; /* the primary one among them */
	size_t group_count;     /* 0: cannot be had */
	union {
		struct fact facts[FACT_COUNT]; /* in the order of their attributes */
		struct {
			struct fact unit;   /* names joined by single blanks, see subject_unit() */
			struct fact exe;    /* an absolute path */
			struct fact label;  /* names joined by single blanks, see subject_label() */
			struct fact socket; /* the listener's name */
		};
	};
};

/* What is true of a fact, whoever it is about. */
struct fact_row {
	/* What a rule may say of it. */
	bool (*is_value)(const char *text, size_t size);
	int value_max;          /* bytes */
	const char *value_text; /* "expected ..." */
	bool has_patterns;      /* as unit_pattern_matches() reads them */
	bool is_single; /* a caller has one, which may have blanks in it; else names, by blanks */

	/*
	 * Which value, or beginning of one, is no word about who it is, since anybody can have it;
	 * and why. "": none is.
	 */
	const char *shared;
	bool is_shared_prefix;
	const char *shared_text; /* "allows by ..." */

	/* What an admin may suppose of somebody, and what it is where he says nothing. */
	enum mortise_status (*suppose)(const char *text, char *out_names, size_t size);
	const char *supposed_text, *unsaid;
};

/* NULL if it is no fact. */
const struct fact_row *fact_row(enum attribute attribute);
/* The fact of that name; ATTRIBUTE_COUNT if there is none. */
enum attribute fact_of_name(const char *name);

#define SUBJECT_STRANGER 4294967293u /* an id that nobody has, of a user or a group */

/* The fact of that attribute; NULL if it is none. */
const struct fact *subject_fact(const struct subject *subject, enum attribute attribute);

/*
 * From a cgroup's path below the root of the hierarchy ("/system.slice/backup.service") the
 * names a rule may have for it: the first unit that is no slice, then the slices above it;
 * and below a user manager the same with "user:" before each, for the user has made those:
 *	"backup.service system.slice"
 *	"user@1000.service user-1000.slice user.slice user:foo.service user:app.slice"
 * What lies below a unit is its own affair and ignored. MORTISE_REJECTED if there is no unit
 * (the root, a path outside a cgroup namespace, names systemd would not make) or no room.
 */
enum mortise_status subject_unit(const char *cgroup, char *out_names, size_t size) MUST_USE;

/*
 * From SO_PEERSEC's text: the label and, where it is one of SELinux, its type:
 *	"system_u:system_r:backup_t:s0 backup_t"
 * AppArmor's " (enforce)" is cut; any other mode confines nothing and is MORTISE_REJECTED, as
 * is what does not fit.
 */
enum mortise_status subject_label(
	const char *peersec, size_t peersec_size, char *out_names, size_t size) MUST_USE;

/*
 * A fact as a person writes it for somebody: units, or the path of a unit's cgroup; a label as
 * SO_PEERSEC has it, or its type; a program; a listener. MORTISE_REJECTED for what is none.
 */
enum mortise_status subject_suppose(
	enum attribute attribute, const char *text, char *out_names, size_t size) MUST_USE;

/* A unit's name as systemd makes them, with a suffix that can hold processes. */
bool unit_name_is_valid(const char *name, size_t size);

/*
 * A unit's name as a rule gives it: perhaps "user:" before it, perhaps '*' in the instance
 * ("backup@*.service"), never the slice of all slices.
 */
bool unit_pattern_is_valid(const char *pattern, size_t size);

/* Of two valid ones; '*' matches zero or more bytes. */
bool unit_pattern_matches(const char *pattern, const char *name, size_t name_size);

#endif
