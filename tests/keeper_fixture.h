/* SPDX-License-Identifier: ISC */
/*
 * keeper_fixture: a real keeper in a child of the test, in a private directory. The test is its
 * monitor, its name service, its sealer and its clients, all in one thread: whoever waits for a
 * client's answer meanwhile serves the keeper (keeper_pump). No TPM is needed.
 */
#ifndef MORTISE_TESTS_KEEPER_FIXTURE_H
#define MORTISE_TESTS_KEEPER_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "mortise_test.h"
#include "processes.h"
#include "token.h"
#include "wire.h"

#define KEEPER_OPERATORS 7000 /* the gid that may unseal and recover */
#define KEEPER_AGENT_UID 7100
#define ALICE            1000
#define BACKUP           34
#define DBA_GROUP        50
#define ASKER_CLOSED     0xfffe
#define KEEPER_ACCEPTS   1024 /* credentials that can be asked for in a test */

struct keeper_fixture {
	char directory[64], socket[96], store[96], audit_directory[96], audit_log[128], errors[96];
	pid_t pid; /* 0: none runs */
	int monitor, listener, sealer;
	char web_socket[96];
	int web_listener; /* -1: none */
	unsigned web_verbs;
	char credentials_socket[96];
	int credentials_listener; /* -1: none */
	unsigned credentials_wait_ms;
	int credentials_room;   /* SO_SNDBUF of what is accepted; 0: the usual */
	uint16_t accept_answer; /* MORTISE_OK, or what ACCEPT is told */
	bool holds_accepts;     /* until keeper_answer_accepts() */
	uint32_t held_accepts[KEEPER_ACCEPTS];
	unsigned held_accept_count;
	int accepted[KEEPER_ACCEPTS]; /* what is not released, by number; or -1 */
	unsigned accepts, delivered, refused;
	int monitor_room; /* SO_SNDBUF of the keeper's end; 0: the usual */
	uint32_t first_uid;
	uint64_t flags;
	void (*before)(void); /* in the keeper's process, before keeper_main() */

	char state[1024];                                 /* the last READY's text */
	unsigned states;                                  /* READY frames so far */
	void (*on_state)(struct keeper_fixture *fixture); /* of each; NULL: nobody looks */

	uint16_t spawn_answer; /* MORTISE_OK, or what SPAWN is told */
	bool holds_names;
	const char *gone_name, *moved_name; /* of the name service; NULL: none */
	bool names_are_down;
	uint8_t held_names[4096]; /* a look-up that waits for keeper_answer_names() */
	size_t held_size;
	unsigned spawns, questions, lookups;
	/* Plays the sealer: sends what it likes over fixture->sealer. */
	void (*play)(struct keeper_fixture *fixture, const struct wire_message *request);
	uint8_t h[KEY_SIZE];
	uint64_t counter; /* of the anchor */

	/* With PROCESS_HAS_WITNESS in flags: */
	int witnesses[PROCESS_WITNESSES]; /* -1: none */
	unsigned fetches;                 /* of witnesses so far */
	unsigned holds_questions;         /* so many of the next are not answered */
	struct {
		int witness;
		uint32_t id;
	} held_question;      /* the last such */
	unsigned looks, exes; /* questions so far */
	const char *exe;      /* what they say of everybody; NULL: it cannot be had */

	char recovery[128];
	char key_id[8];
};

/* For cmocka. set_up_keeper starts it; set_up_store also initialises it with kind "none". */
int set_up_keeper(void **state);
int set_up_store(void **state);
int tear_down_keeper(void **state);

/* Makes directories and the listening socket, but starts nothing. */
struct keeper_fixture *keeper_prepare(void);
void keeper_start(struct keeper_fixture *fixture);
/* Before the start: a second listener, "web", at which so much can be asked. */
void keeper_listen_web(struct keeper_fixture *fixture, unsigned verbs);
/* Before the start: a listener for service managers, who wait so long while it is sealed. */
void keeper_listen_credentials(struct keeper_fixture *fixture, unsigned wait_ms);
/* Initialises it, as set_up_store does. */
void keeper_init(struct keeper_fixture *fixture);
/* Ends it with SIGTERM; the exit status. Fails if a sanitizer complained. */
int keeper_stop(struct keeper_fixture *fixture);
void keeper_restart(struct keeper_fixture *fixture);
/* Closes its pipe without a word and waits for its end. */
int keeper_reap(struct keeper_fixture *fixture);

/* Serves the keeper until fd is readable and the keeper wants nothing more. */
void keeper_pump(struct keeper_fixture *fixture, int fd);
/* Serves it once, waiting for what it wants. */
void keeper_serve(struct keeper_fixture *fixture);
/* Serves it until its state starts with this. */
void keeper_await_state(struct keeper_fixture *fixture, const char *start);
/* Serves it until so many sealers' requests have been seen. */
void keeper_await_questions(struct keeper_fixture *fixture, unsigned count);
/* Serves it until it has asked for connections so often, or has released so many. */
void keeper_await_accepts(struct keeper_fixture *fixture, unsigned count);
void keeper_await_releases(struct keeper_fixture *fixture, unsigned count);
/* Answers the ACCEPTs that holds_accepts held back. */
void keeper_answer_accepts(struct keeper_fixture *fixture);
/* Answers the look-up that holds_names held back. */
void keeper_answer_names(struct keeper_fixture *fixture);
/* Answers the question to a witness that was held back last. */
void keeper_answer_question(struct keeper_fixture *fixture);
/* Serves it until witnesses were asked so often which program somebody runs, or have looked. */
void keeper_await_exes(struct keeper_fixture *fixture, unsigned count);
void keeper_await_looks(struct keeper_fixture *fixture, unsigned count);
void keeper_await_lookups(struct keeper_fixture *fixture, unsigned count);

/* Sealers to play. */
void play_honest(struct keeper_fixture *fixture, const struct wire_message *request);
void play_silent(struct keeper_fixture *fixture, const struct wire_message *request);
void play_death(struct keeper_fixture *fixture, const struct wire_message *request);
void keeper_send_sealer(struct keeper_fixture *fixture, struct wire_writer *writer);
struct wire_writer *keeper_begin_sealer(uint16_t code);
void keeper_fail_sealer(struct keeper_fixture *fixture, enum token_fault fault, const char *detail);

/* One connection and its last exchange. */
struct asker {
	int fd;
	uint32_t last_id;
	struct wire_writer writer;
	uint8_t out[WIRE_FRAME_MAX], in[WIRE_FRAME_MAX];
	size_t size; /* of the answer */
	struct wire_message reply;
	char text[WIRE_TEXT_MAX];
};

/* Does this kernel name who connects? */
bool keeper_kernel_names(void);
int keeper_connect(const struct keeper_fixture *fixture);
/* A connection that is ready: where the kernel does not name who connects, it was greeted. */
struct asker *asker_open(struct keeper_fixture *fixture);
/* At another listener. */
struct asker *asker_open_at(struct keeper_fixture *fixture, const char *path);
/* One on which nothing was said yet. */
struct asker *asker_open_bare(const struct keeper_fixture *fixture);
void asker_close(struct asker *asker);
struct wire_writer *asker_begin(struct asker *asker, uint16_t opcode);
/* Sends what was begun. */
void asker_send(struct asker *asker);
/* Sends, and waits until the keeper has read it: what is sent to it next, by whomever, comes after.
 */
void asker_send_read(struct asker *asker);
/* Waits for an answer: its code, or ASKER_CLOSED. */
uint16_t asker_receive(struct keeper_fixture *fixture, struct asker *asker);
/* Both. */
uint16_t asker_call(struct keeper_fixture *fixture, struct asker *asker);

uint16_t ask_plain(struct keeper_fixture *fixture, struct asker *asker, uint16_t opcode);
uint16_t ask_path(
	struct keeper_fixture *fixture, struct asker *asker, uint16_t opcode, const char *path);
uint16_t ask_set(struct keeper_fixture *fixture, struct asker *asker, const char *path,
	const void *value, size_t size);
/* The one item's status; its value is in *out_value (NULL: not wanted). */
uint64_t ask_get(struct keeper_fixture *fixture, struct asker *asker, const char *path,
	struct wire_field *out_value);
void begin_get(struct asker *asker, const char *path);
uint16_t ask_init(struct keeper_fixture *fixture, struct asker *asker, const char *kind);
/* The same for an INIT that was begun with fields of its own. */
uint16_t ask_init_begun(struct keeper_fixture *fixture, struct asker *asker);
uint16_t ask_recover(struct keeper_fixture *fixture, struct asker *asker, const char *key);
uint16_t ask_stage(struct keeper_fixture *fixture, struct asker *asker, const char *text);
uint16_t ask_apply(struct keeper_fixture *fixture, struct asker *asker, const char *text);
/* As root, over a connection of its own: must succeed. */
void keeper_apply(struct keeper_fixture *fixture, const char *text);
void keeper_put(struct keeper_fixture *fixture, const char *path, const char *value);
/* A fact of `status`, "" if absent. */
void keeper_fact(struct keeper_fixture *fixture, const char *name, char out_text[256]);

/* The test's own real and effective ids, for connections made and used until become_root(). */
void become(uint32_t uid, uint32_t gid);
void become_root(void);
bool is_root(void);
/* What is about the kernel's own word (SO_PEERPIDFD) can be had from Linux 6.5 on. */
#define NEEDS_NAMES()                                                                              \
	do {                                                                                       \
		if (!keeper_kernel_names()) {                                                      \
			print_message("this kernel does not name who connects (Linux 6.5)\n");     \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

#define NEEDS_ROOT()                                                                               \
	do {                                                                                       \
		if (!is_root()) {                                                                  \
			print_message("needs root\n");                                             \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

/* The audit log, NUL-terminated; the caller frees it. */
char *keeper_log(const struct keeper_fixture *fixture);
size_t keeper_log_lines(const struct keeper_fixture *fixture);
/* The last line without the parts that differ from run to run. */
void assert_last_line(const struct keeper_fixture *fixture, const char *expected);
/*
 * From now on the log cannot grow (RLIMIT_FSIZE): it is first made larger than the store's
 * files, which are not concerned then. Needs root.
 */
void keeper_stop_log(struct keeper_fixture *fixture);
void keeper_mend_log(struct keeper_fixture *fixture);
/* What it told when it was sealed last: by now it may be trying again. */
void assert_sealed_because(struct keeper_fixture *fixture, const char *part);
bool keeper_log_has(const struct keeper_fixture *fixture, const char *needle);

#define WITH_KEEPER(name) cmocka_unit_test_setup_teardown(name, set_up_keeper, tear_down_keeper)
#define WITH_STORE(name)  cmocka_unit_test_setup_teardown(name, set_up_store, tear_down_keeper)

#endif
