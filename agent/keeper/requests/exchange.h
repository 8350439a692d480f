/* SPDX-License-Identifier: ISC */
/*
 * exchange: a request on its way through its handler: what handlers ask, say and put on record,
 * and requests that wait. Shared by request.c and request_*.c; nobody else includes it.
 */
#ifndef MORTISE_EXCHANGE_H
#define MORTISE_EXCHANGE_H

#include "clock.h"
#include "request.h"

struct operation;

struct exchange {
	struct agent *agent;
	struct requester *from;
	const struct operation *operation;
	const struct wire_message *request;
	struct wire_writer *reply; /* begun with MORTISE_OK; the handler puts fields */
	uint64_t number;           /* of this request, in all of the process's life; not 0 */
	struct clock_now now;

	/* For the audit and the error's text; the handler fills in what it knows. */
	char path[MORTISE_PATH_MAX + 1]; /* "" unless the operation names one, then valid */
	uint64_t version;
	const char *rule;
	char rule_name[POLICY_TITLE_MAX +
		       1]; /* a copy: the policy may go before the record is made */
	char text[WIRE_TEXT_MAX];
	uint64_t wait_ms; /* with MORTISE_BUSY: when it is worth trying again; 0: not known */
	const char *note; /* for the line; NULL: none. Its text outlives the handler */
	char reason[VAULT_NOTE_MAX + 1]; /* that the caller gave, for a note */
	bool is_silent; /* no line of its own: a later page, or lines were written already */
	bool is_pending;
	bool is_dry_run; /* DRY_RUN was asked for; request.c sees to it that nothing is changed */
};

/* MORTISE_OK, or what is told; text says more. Fields put before a failure are dropped. */
typedef enum mortise_status operation_handler(struct exchange *exchange);

/* Who may: see request.c. */
enum authority {
	ANYONE,       /* reveals nothing about secrets */
	OPERATOR,     /* root, the agent's user, the group `operators` */
	VERB_ON_PATH, /* the policy, for PATH */
	VERB_ALONE,   /* the policy, for a verb that names no secret */
	EACH_PATH,    /* the handler asks exchange_may() for each path it touches */
};

enum operation_mark {
	NOTHING_MORE = 0,
	WHILE_SEALED = 1, /* else it is refused then */
	CHANGES = 2,      /* refused while the audit log cannot be written */
	RECORDED = 4,     /* has a line in the log */
	FREES_ROOM = 8,   /* an administrator may do it with what full disks have in reserve */
};

struct operation {
	enum wire_opcode opcode;
	const char *name;
	enum authority authority;
	enum verb verb;
	unsigned marks;       /* bits of enum operation_mark */
	const uint16_t *tags; /* those that may come; others are refused */
	operation_handler *handler;
};

static inline bool operation_has(const struct operation *operation, enum operation_mark mark)
{
	return (operation->marks & mark) != 0;
}

operation_handler request_hello, request_status, request_whoami, request_init, request_unseal,
	request_seal, request_get, request_set, request_list, request_show, request_delete,
	request_undelete, request_policy_stage, request_policy_apply, request_policy_show,
	request_policy_check, request_policy_rollback, request_policy_reset, request_audit_show,
	request_policy_who, request_policy_may, request_audit_verify, request_audit_key,
	request_verify, request_rekey, request_slot_list, request_slot_add, request_slot_remove,
	request_slot_test, request_slot_reseal, request_slot_suspend, request_slot_change_pin,
	request_backup, request_backup_stage, request_backup_verify, request_recover,
	request_doctor, request_meta, request_move, request_rollback, request_destroy,
	request_set_batch, request_watch, request_rotate, request_hygiene, request_clock_accept,
	request_audit_acknowledge;

/* Copies a field that must be a path; a name that is none is refused, never mended. */
enum mortise_status exchange_path(struct exchange *exchange, const struct wire_field *field,
	char out_path[MORTISE_PATH_MAX + 1]) MUST_USE;

/* A number field that is 0 or 1; absent is 0. */
enum mortise_status exchange_flag(struct exchange *exchange, unsigned tag, bool *out_flag) MUST_USE;

/* TOKEN: bytes in the frame. */
enum mortise_status exchange_token(struct exchange *exchange, const uint8_t **out_token) MUST_USE;

/* A text field of one line of at most so many bytes, into as many and one. */
enum mortise_status exchange_line(
	struct exchange *exchange, unsigned tag, char *out_line, size_t size_max) MUST_USE;

/* NOTE, which must be there: why an admin does it, for the record. */
enum mortise_status exchange_reason(struct exchange *exchange) MUST_USE;

/* TOKEN and EXPECT, who writes and when. */
enum mortise_status exchange_begin_write(struct exchange *exchange, struct vault_write *write)
	MUST_USE;
/* What is told to who wrote in vain, and to who may ask for a secret that is not there. */
enum mortise_status exchange_fail_expected(struct exchange *exchange, uint64_t expected);
enum mortise_status exchange_explain(struct exchange *exchange, enum mortise_status status);
/* VERSION and CHANGED, and the version for the record. */
void exchange_outcome(struct exchange *exchange, const struct vault_outcome *outcome);

/* RECOVERY, as a person typed it. MORTISE_INVALID says where the mistake is. */
enum mortise_status exchange_recovery(struct exchange *exchange, struct secret **out_key) MUST_USE;

/* Gathers the facts about a caller that deciding by this policy takes, and no others. */
void requester_gather(struct agent *agent, struct requester *from, const struct policy *policy);

/* The same; those are left (bits 1 << ATTRIBUTE_...) that have to be waited for. */
unsigned requester_needs(struct agent *agent, struct requester *from, const struct policy *policy);
/* Does a rule depend on the program that asks, and was that not found out yet? */
bool requester_wants_exe(struct agent *agent, struct requester *from);

/* The listener's and the policy's word on this caller, verb and path (NULL: none) now. */
struct decision exchange_may(const struct exchange *exchange, enum verb verb, const char *path);

/*
 * Counts one use of the rule that allowed, of however many secrets in one request; before what it
 * allows is done. MORTISE_BUSY with its text and wait_ms if that is more often than the rule says.
 */
enum mortise_status exchange_take(struct exchange *exchange, const struct decision *decision)
	MUST_USE;

/* Has this uid filled the log with as many lines as it may? MORTISE_BUSY says so. */
enum mortise_status exchange_check_lines(struct exchange *exchange) MUST_USE;

/* Sets the text of a failure and returns its status, so that a handler can return it. */
enum mortise_status exchange_fail(struct exchange *exchange, enum mortise_status status,
	const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * The one text of a denial: of secrets, what is denied and what does not exist read alike. Where
 * the caller could not be looked at, MORTISE_BUSY and when to try again.
 */
enum mortise_status exchange_deny(struct exchange *exchange);

/* Puts a line on record for this exchange, beside the one request.c writes. */
void exchange_record(const struct exchange *exchange, const char *path, size_t path_size,
	uint64_t version, const char *rule, enum mortise_status result);

/*
 * A page that this connection was told to ask for next has no line of its own: whoever starts
 * in the middle has one.
 */
void exchange_go_on(struct exchange *exchange, const void *cursor, size_t size);
/* Says where the next page starts: at most REQUEST_PAGE_SIZE bytes. */
void exchange_next_page(struct exchange *exchange, const void *cursor, size_t size);
/* One page of a check of all that is on disk: what is asked for next, and how far it is. */
enum mortise_status exchange_verify(struct exchange *exchange, struct vault *vault) MUST_USE;

/* Is it root, the agent's user or an operator, and at the agent's own socket? */
bool exchange_is_operator(const struct exchange *exchange);

/* Or does the policy allow it admin? */
bool exchange_is_administrator(const struct exchange *exchange);

/* Counts by the quotas of the policy that is in force from now on. */
enum mortise_status quota_begin(struct agent *agent, struct vault *vault) MUST_USE;
/* "dev (95 %), ci of uid 1000 (100 %)": those used to nine tenths, as many as there is room for; or
 * "". */
void quota_describe_nearly_used(const struct agent *agent, char *out_text, size_t size);
/*
 * May what a write adds be kept, beside what the same request has claimed already? MORTISE_DENIED
 * names the quota. MORTISE_BUSY while it is being counted.
 */
enum mortise_status exchange_keep(
	struct exchange *exchange, struct census *claims, const struct vault_write *write) MUST_USE;
enum mortise_status exchange_keep_one(struct exchange *exchange, const struct vault_write *write)
	MUST_USE;
/* Likewise for the secret at PATH, at its new path. */
enum mortise_status exchange_keep_moved(struct exchange *exchange, const char *new_path) MUST_USE;

/* What is known of a caller by now: nothing is looked up for the log alone. */
struct audit_facts requester_facts(const struct caller *caller);

/* A pending request: made by a handler, finished once. The requester may be gone by then. */
struct pending {
	struct agent *agent;
	struct requester *from; /* NULL: the connection ended */
	const struct operation *operation;
	uint32_t request_id;
	uint32_t uid, gid, pid, login_uid, session;
	bool is_dry_run;
	bool is_silent;
	char path[MORTISE_PATH_MAX + 1];      /* for the record, as in the exchange */
	char rule_name[POLICY_TITLE_MAX + 1]; /* "": no rule decided */
	uint64_t version;
	struct audit_facts facts;
	struct audit_facts_room facts_room;
	void *context; /* of the handler; release() frees it */
	void (*release)(void *context);
};

/* MORTISE_BUSY if out of memory. Sets exchange->is_pending. */
enum mortise_status pending_new(struct exchange *exchange, void *context,
	void (*release)(void *context), struct pending **out_pending) MUST_USE;

/* A line of what was changed, before that of the request: of what is one change, fewer than a
 * batch has. */
void pending_record_part(const struct pending *pending, const char *operation, const char *note);
/* Records, answers and frees. put_fields (may be NULL) adds to an answer of MORTISE_OK. */
void pending_finish(struct pending *pending, enum mortise_status status, const char *text,
	void (*put_fields)(struct wire_writer *reply, const void *context), const void *context);
/* For a handler whose operation could not be started after all. */
void pending_abandon(struct exchange *exchange, struct pending *pending);

/* What the policy is told of it. */
time_t policy_time(const struct clock_now *now);

/* "DAMAGED: " and why; false: it is not, as far as is known, or somebody has acknowledged it. */
bool request_damage_text(const struct agent *agent, char *out_text, size_t size);
/* The places that `audit verify` may go past, malloc'ed; and their names with who allowed it. */
enum mortise_status request_allowed_gaps(
	struct vault *vault, struct audit_gap **out_gaps, size_t *out_count) MUST_USE;
void request_name_gaps(struct vault *vault, char *out_text, size_t size);

/* Facts, as `status` and `whoami` list them. */
void put_text_fact(struct wire_writer *reply, const char *name, const char *text);
void put_number_fact(struct wire_writer *reply, const char *name, uint64_t number);
/* "7,11" */
void put_pcrs_fact(struct wire_writer *reply, const char *name, uint64_t pcrs);
void put_time_fact(struct wire_writer *reply, const char *name, uint64_t time_us);

/* Frees what hangs there. */
void hung_drop(struct hung *hung);

#endif
