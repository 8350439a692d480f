/* SPDX-License-Identifier: ISC */
/* A TPM that is absent, busy, full or locked, and sealers that were killed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mortise_test.h"
#include "tpm2_blob.h"
#include "tpm2_link.h"
#include "tpm2_srk.h"
#include "tpm_slot.h"

static void need_slot(void)
{
	if (!slot.is_there)
		skip();
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What a sealer that is killed in the middle leaves behind. */
static void leak_a_session(int notes_fd)
{
	struct token_options options = slot_options(slot.tpm.tcti);
	struct token_failure failure;
	struct token_bytes bytes = {slot.blob, slot.blob_size};
	struct tpm2_blob blob;
	struct tpm2 tpm;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		options.notes_fd = notes_fd;
		_exit(tpm2_blob_unpack(&bytes, &blob) &&
					tpm2_connect(&options, &failure, &tpm) == MORTISE_OK &&
					tpm2_srk_require(&tpm, &blob.srk) == MORTISE_OK
				? 0
				: 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int new_notes(void)
{
	int fd = memfd_create("notes", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void an_absent_tpm_is_named(void **state)
{
	(void)state;
	need_slot();
	assert_int_equal(slot_open_at("swtpm:path=/nonexistent/tpm.sock"), TOKEN_FAULT_ABSENT);
	assert_int_equal(slot_open_at("device:/nonexistent/tpmrm0"), TOKEN_FAULT_ABSENT);
	assert_int_equal(slot_open_at("device:/dev/null"), TOKEN_FAULT_ABSENT);
}

static void other_drivers_are_refused(void **state)
{
	static const char *const refused[] = {"", "device", "device:", "device:tpm0", "mssim",
		"mssim:host=localhost,port=2321", "cmd:/bin/sh", "pcap:device:/dev/tpm0", "swtpm",
		"swtpm:host=localhost,port=2321", "swtpm:path=tpm.sock", "swtpm:path=/a,host=b",
		"/tmp/evil.so", "libtss2-tcti-cmd.so.0:/bin/sh", "devicex:/a", "dev:/a", ":/a"};

	(void)state;
	need_slot();
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		assert_int_equal(slot_open_at(refused[i]), TOKEN_FAULT_UNSUPPORTED);
}

static void a_busy_tpm_is_asked_again(void **state)
{
	static const uint32_t busy[] = {TPM2_RC_RETRY, TPM2_RC_YIELDED, TPM2_RC_TESTING,
		TPM2_RC_NV_RATE, TPM2_RC_NV_UNAVAILABLE};

	(void)state;
	need_slot();
	for (size_t i = 0; i < sizeof busy / sizeof *busy; i++) {
		struct tap_fixture tap;
		char name[] = "busy0";

		name[4] = (char)('0' + i);
		/* More often than ESYS tries by itself. */
		tap_start(&slot.tpm, name, busy[i], 7, &tap);
		assert_int_equal(slot_open_at(tap.tcti), TOKEN_FAULT_NONE);
		tap_stop(&tap);
		assert_in_range(tap_count(&tap), 7 + 6, 7 + 8);
	}
	assert_nothing_is_left(&slot.tpm);
}

static void a_busy_tpm_is_given_up_before_the_deadline(void **state)
{
	struct tap_fixture tap;
	struct token_options options;
	int64_t start_ms;

	(void)state;
	need_slot();
	tap_start(&slot.tpm, "busy-always", TPM2_RC_YIELDED, 1000000, &tap);
	options = slot_options(tap.tcti);
	options.deadline_ms = 200;
	start_ms = now_ms();
	assert_int_equal(slot_open_with(&options), TOKEN_FAULT_BUSY);
	assert_in_range(now_ms() - start_ms, 100, 1000);
	tap_stop(&tap);
}

static void a_lockout_and_a_failure_are_not_tried_again(void **state)
{
	struct tap_fixture tap;

	(void)state;
	need_slot();
	tap_start(&slot.tpm, "lockout", TPM2_RC_LOCKOUT, 1000000, &tap);
	assert_int_equal(slot_open_at(tap.tcti), TOKEN_FAULT_LOCKOUT);
	tap_stop(&tap);
	assert_int_equal(tap_count(&tap), 1);
	tap_start(&slot.tpm, "failure", TPM2_RC_FAILURE, 1000000, &tap);
	assert_int_equal(slot_open_at(tap.tcti), TOKEN_FAULT_FAILURE_MODE);
	tap_stop(&tap);
	assert_int_equal(tap_count(&tap), 1);
}

static void what_killed_sealers_left_is_flushed(void **state)
{
	struct token_options options = slot_options(slot.tpm.tcti);
	uint32_t handles[TPM2_NOTES_MAX];
	uint32_t kept[3];
	int notes;

	(void)state;
	need_slot();
	notes = new_notes();
	options.deadline_ms = 50;
	for (int i = 0; i < 3; i++) {
		/* Each sealer would flush what the one before noted: keep that from it. */
		leak_a_session(notes);
		assert_int_equal(tpm2_notes_read(notes, handles), 1);
		kept[i] = handles[0];
		tpm2_notes_remove(notes, handles[0]);
	}
	/* The control: with nothing noted there is no room. */
	assert_true(tpm_holds_something(&slot.tpm));
	options.notes_fd = notes;
	assert_int_equal(slot_open_with(&options), TOKEN_FAULT_FULL);
	for (int i = 0; i < 3; i++)
		tpm2_notes_add(notes, kept[i]);
	assert_int_equal(slot_open_with(&options), TOKEN_FAULT_NONE);
	assert_int_equal(tpm2_notes_read(notes, handles), 0);
	assert_nothing_is_left(&slot.tpm);
	close(notes);
}

/* Three objects are all that a TPM has room for; one of them would do. */
static void objects_that_killed_sealers_left_are_flushed(void **state)
{
	struct token_options options = slot_options(slot.tpm.tcti);

	(void)state;
	need_slot();
	assert_int_equal(
		tpm_shell(&slot.tpm, slot.tpm.tcti,
			"for i in 1 2 3; do tpm2_createprimary -C n -c left; done >/dev/null"),
		0);
	options.deadline_ms = 50;
	/* The control: they are not ours for all we know. */
	assert_int_equal(slot_open_with(&options), TOKEN_FAULT_FULL);
	options.notes_fd = new_notes();
	for (uint32_t i = 0; i < 3; i++)
		tpm2_notes_add(options.notes_fd, 0x80000000 + i);
	options.deadline_ms = 5000;
	assert_int_equal(slot_open_with(&options), TOKEN_FAULT_NONE);
	assert_nothing_is_left(&slot.tpm);
	close(options.notes_fd);
}

static void three_killed_sealers_do_not_use_up_the_sessions(void **state)
{
	struct token_options options = slot_options(slot.tpm.tcti);

	(void)state;
	need_slot();
	options.notes_fd = new_notes();
	for (int i = 0; i < 5; i++)
		leak_a_session(options.notes_fd);
	assert_int_equal(slot_open_with(&options), TOKEN_FAULT_NONE);
	assert_nothing_is_left(&slot.tpm);
	close(options.notes_fd);
}

static void notes_of_other_handles_are_not_believed(void **state)
{
	static const uint32_t wrong[TPM2_NOTES_MAX] = {TPM2_SRK_HANDLE, 0x01800001, 0x40000001,
		0x4000000c, 0xffffffff, 0x00000007, 0x90000000};
	uint32_t handles[TPM2_NOTES_MAX];
	struct token_options options = slot_options(slot.tpm.tcti);

	(void)state;
	need_slot();
	options.notes_fd = new_notes();
	assert_int_equal(write(options.notes_fd, wrong, sizeof wrong), sizeof wrong);
	assert_int_equal(tpm2_notes_read(options.notes_fd, handles), 0);
	assert_int_equal(slot_open_with(&options), TOKEN_FAULT_NONE);
	close(options.notes_fd);
}

static void notes_keep_sixteen_and_take_no_more(void **state)
{
	uint32_t handles[TPM2_NOTES_MAX];
	int notes = new_notes();

	(void)state;
	for (uint32_t i = 0; i < TPM2_NOTES_MAX + 4; i++)
		tpm2_notes_add(notes, 0x02000000 + i);
	assert_int_equal(tpm2_notes_read(notes, handles), TPM2_NOTES_MAX);
	assert_int_equal(lseek(notes, 0, SEEK_END), TPM2_NOTES_MAX * sizeof *handles);
	tpm2_notes_remove(notes, 0x02000003);
	assert_int_equal(tpm2_notes_read(notes, handles), TPM2_NOTES_MAX - 1);
	tpm2_notes_add(notes, 0x80000001);
	assert_int_equal(tpm2_notes_read(notes, handles), TPM2_NOTES_MAX);
	assert_int_equal(handles[3], 0x80000001);
	close(notes);
	assert_int_equal(tpm2_notes_read(-1, handles), 0);
}

static void codes_become_faults(void **state)
{
	static const struct {
		TSS2_RC rc;
		enum token_fault fault;
	} cases[] = {
		{TSS2_RC_SUCCESS, TOKEN_FAULT_NONE},
		{TPM2_RC_RETRY, TOKEN_FAULT_BUSY},
		{TSS2_RESMGR_TPM_RC_LAYER | TPM2_RC_RETRY, TOKEN_FAULT_BUSY},
		{TPM2_RC_PCR_CHANGED, TOKEN_FAULT_BUSY},
		{TPM2_RC_LOCKOUT, TOKEN_FAULT_LOCKOUT},
		{TPM2_RC_FAILURE, TOKEN_FAULT_FAILURE_MODE},
		{TPM2_RC_SESSION_MEMORY, TOKEN_FAULT_FULL},
		{TPM2_RC_OBJECT_MEMORY, TOKEN_FAULT_FULL},
		{TPM2_RC_INTEGRITY + TPM2_RC_P + TPM2_RC_1, TOKEN_FAULT_REFUSED},
		{TSS2_TCTI_RC_IO_ERROR, TOKEN_FAULT_ABSENT},
		{TSS2_ESYS_RC_RSP_AUTH_FAILED, TOKEN_FAULT_MALFORMED},
		{TSS2_SYS_RC_MALFORMED_RESPONSE, TOKEN_FAULT_MALFORMED},
		{TSS2_MU_RC_BAD_VALUE, TOKEN_FAULT_MALFORMED},
		{TSS2_ESYS_RC_MEMORY, TOKEN_FAULT_OTHER},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(tpm2_fault_of(cases[i].rc, TOKEN_FAULT_REFUSED), cases[i].fault);
	assert_true(tpm2_fault_is(TPM2_RC_HANDLE + TPM2_RC_1, TPM2_RC_HANDLE));
	assert_true(tpm2_fault_is(TPM2_RC_VALUE + TPM2_RC_P + TPM2_RC_2, TPM2_RC_VALUE));
	assert_true(tpm2_fault_is(TPM2_RC_NV_SPACE, TPM2_RC_NV_SPACE));
	assert_false(tpm2_fault_is(TPM2_RC_VALUE + TPM2_RC_1, TPM2_RC_HANDLE));
	assert_false(tpm2_fault_is(TSS2_RC_SUCCESS, TPM2_RC_HANDLE));
	assert_false(tpm2_fault_is(TSS2_ESYS_RC_BAD_TR | TPM2_RC_HANDLE, TPM2_RC_HANDLE));
}

static void every_fault_has_a_text(void **state)
{
	(void)state;
	for (int fault = -1; fault <= TOKEN_FAULT_COUNT; fault++)
		assert_non_null(token_fault_text((enum token_fault)fault));
	assert_string_equal(
		token_fault_text(TOKEN_FAULT_COUNT), token_fault_text(TOKEN_FAULT_OTHER));
	assert_true(token_fault_is_passing(TOKEN_FAULT_BUSY));
	assert_false(token_fault_is_passing(TOKEN_FAULT_NO_SRK));
	/* A PIN is never tried again by itself. */
	assert_false(token_fault_is_passing(TOKEN_FAULT_WRONG_PIN));
}

static void the_page_says_of_each_fault_what_mends_it(void **state)
{
	char path[512], row[256], *page;
	FILE *file;
	size_t size;

	(void)state;
	snprintf(path, sizeof path, "%s/docs/hardware.md", getenv("MORTISE_TEST_SOURCE"));
	file = fopen(path, "re");
	assert_non_null(file);
	page = calloc(1, 262144);
	assert_non_null(page);
	size = fread(page, 1, 262143, file);
	fclose(file);
	assert_true(size > 0 && size < 262143);
	for (int fault = TOKEN_FAULT_NONE + 1; fault < TOKEN_FAULT_COUNT; fault++) {
		const char *mends = token_fault_row((enum token_fault)fault)->passes;

		snprintf(row, sizeof row, "\n| %s | %s |\n",
			token_fault_text((enum token_fault)fault), mends ? mends : "no");
		if (strstr(page, row) == NULL)
			fail_msg("docs/hardware.md has not: %s", row);
	}
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_absent_tpm_is_named),
		cmocka_unit_test(other_drivers_are_refused),
		cmocka_unit_test(a_busy_tpm_is_asked_again),
		cmocka_unit_test(a_busy_tpm_is_given_up_before_the_deadline),
		cmocka_unit_test(a_lockout_and_a_failure_are_not_tried_again),
		cmocka_unit_test(what_killed_sealers_left_is_flushed),
		cmocka_unit_test(objects_that_killed_sealers_left_are_flushed),
		cmocka_unit_test(three_killed_sealers_do_not_use_up_the_sessions),
		cmocka_unit_test(notes_of_other_handles_are_not_believed),
		cmocka_unit_test(notes_keep_sixteen_and_take_no_more),
		cmocka_unit_test(codes_become_faults),
		cmocka_unit_test(every_fault_has_a_text),
		cmocka_unit_test(the_page_says_of_each_fault_what_mends_it),
	};

	return cmocka_run_group_tests(tests, slot_set_up, slot_tear_down);
}
