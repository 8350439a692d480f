/* SPDX-License-Identifier: ISC */
/*
 * A log in a private directory, for the tests of the audit log. Each test binary includes
 * this once. fdatasync is ours, so that it can be told to fail.
 */
#ifndef MORTISE_AUDIT_FIXTURE_H
#define MORTISE_AUDIT_FIXTURE_H

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "audit.h"
#include "mortise_test.h"

#define SECOND_US UINT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define NOON_US   (UINT64_C(1795435200) * SECOND_US) /* 2026-11-23T12:00:00Z */

static const uint8_t uuid[16] = {0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe, 1, 2, 3, 4, 5};

struct fixture {
	char directory[64];
	char path[96];
	struct audit *audit;
	struct secret *state; /* what a store would hold */
};

static atomic_int syncs_to_fail;

/* In place of the C library's. */
int fdatasync(int fd)
{
	if (syncs_to_fail > 0) {
		syncs_to_fail--;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

static inline int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	syncs_to_fail = 0;
	(void)snprintf(fixture->directory, sizeof fixture->directory, "/tmp/audit-XXXXXX");
	if (secret_pool_open(65536) != MORTISE_OK || mkdtemp(fixture->directory) == NULL)
		return -1;
	(void)snprintf(fixture->path, sizeof fixture->path, "%s/audit.log", fixture->directory);
	*state = fixture;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;

	audit_close(fixture->audit);
	secret_free(fixture->state);
	secret_pool_close();
	(void)unlink(fixture->path);
	(void)rmdir(fixture->directory);
	free(fixture);
	return 0;
}

static inline void open_log(struct fixture *fixture)
{
	assert_int_equal(audit_open(fixture->path, false, &fixture->audit), MORTISE_OK);
}

static inline void close_log(struct fixture *fixture)
{
	audit_close(fixture->audit);
	fixture->audit = NULL;
}

static inline struct audit_event request_at(uint64_t time_us)
{
	return (struct audit_event){.time_us = time_us,
		.operation = "get",
		.has_caller = true,
		.uid = 34,
		.gid = 34,
		.pid = 812,
		.login_uid = 1000,
		.session = 3,
		.path = "prod/db/password",
		.path_size = strlen("prod/db/password"),
		.version = 3,
		.rule = "nightly-backup",
		.result = MORTISE_OK};
}

static inline void put(struct fixture *fixture, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct audit_event event = request_at(NOON_US + i);

		audit_append(fixture->audit, &event);
	}
	assert_int_equal(audit_flush(fixture->audit), MORTISE_OK);
}

static inline void begin_chain(struct fixture *fixture)
{
	assert_int_equal(audit_begin_chain(fixture->audit, uuid, &fixture->state), MORTISE_OK);
}

/* Waits for the thread and takes what it has to give. */
static inline enum mortise_status end_checkpoint(struct fixture *fixture, struct secret **out_state)
{
	struct pollfd poll_fd = {.fd = audit_descriptor(fixture->audit), .events = POLLIN};

	assert_int_equal(poll(&poll_fd, 1, 10000), 1);
	return audit_checkpoint_end(fixture->audit, out_state);
}

static inline void store_checkpoint(struct fixture *fixture)
{
	struct secret *state = NULL;

	assert_int_equal(end_checkpoint(fixture, &state), MORTISE_OK);
	secret_free(fixture->state);
	fixture->state = state;
	audit_checkpoint_stored(fixture->audit);
}

static inline void make_checkpoint(struct fixture *fixture)
{
	assert_int_equal(audit_checkpoint_begin(fixture->audit, NOON_US), MORTISE_OK);
	store_checkpoint(fixture);
}

/* The whole log, NUL-terminated; the caller frees it. */
static inline char *read_log(const struct fixture *fixture, size_t *out_size)
{
	FILE *file = fopen(fixture->path, "re");
	char *text = calloc(1, 1 << 21);

	assert_non_null(file);
	assert_non_null(text);
	*out_size = fread(text, 1, (1 << 21) - 1, file);
	(void)fclose(file);
	return text;
}

static inline void write_log(const struct fixture *fixture, const char *text, size_t size)
{
	FILE *file = fopen(fixture->path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(fixture->path, 0640), 0);
}

static inline size_t count_lines(const struct fixture *fixture)
{
	size_t size, lines = 0;
	char *text = read_log(fixture, &size);

	for (size_t i = 0; i < size; i++)
		lines += text[i] == '\n';
	free(text);
	return lines;
}

static inline bool log_contains(const struct fixture *fixture, const char *needle)
{
	size_t size;
	char *text = read_log(fixture, &size);
	bool contains = strstr(text, needle) != NULL;

	free(text);
	return contains;
}

/* Verifies a text; the complaint goes to out_complaint (256 bytes). */
static inline enum mortise_status verify_text(const char *text, size_t size, const uint8_t *key,
	const struct audit *live, char *out_complaint)
{
	struct audit_check *check = NULL;
	enum mortise_status status;

	assert_int_equal(audit_check_new(key, &check), MORTISE_OK);
	status = audit_check_feed(check, (const uint8_t *)text, size);
	if (status == MORTISE_OK)
		status = audit_check_end(check, live);
	(void)snprintf(out_complaint, 256, "%s", audit_check_complaint(check));
	audit_check_free(check);
	return status;
}

/* The log as it lies on the disk, against the live chain. */
static inline enum mortise_status verify_log(const struct fixture *fixture, char *out_complaint)
{
	uint8_t key[32];
	size_t size;
	char *text = read_log(fixture, &size);
	enum mortise_status status;

	assert_true(audit_public_key(fixture->audit, key));
	status = verify_text(text, size, key, fixture->audit, out_complaint);
	free(text);
	return status;
}

static inline void assert_sound(const struct fixture *fixture)
{
	char complaint[256];
	enum mortise_status status = verify_log(fixture, complaint);

	if (status != MORTISE_OK)
		print_error("%s\n", complaint);
	assert_int_equal(status, MORTISE_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
