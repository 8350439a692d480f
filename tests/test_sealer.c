/* SPDX-License-Identifier: ISC */
/* The sealer as the keeper sees it: a program behind descriptor 3. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mortise_test.h"
#include "processes.h"
#include "token.h"
#include "tpm_fixture.h"
#include "wire.h"

#define ABSENT_TPM "swtpm:path=/nonexistent/tpm.sock"
#define FRAME_SIZE 16384
#define REQUEST_ID 7

struct sealer {
	pid_t pid;
	int socket;
	uint8_t answer_bytes[FRAME_SIZE];
	struct wire_message answer;
};

static void run_sealer(int socket, const char *tcti, const char *deadline, int notes_fd)
{
	const char *program = getenv("MORTISE_TEST_SEALER");
	char tcti_option[160], deadline_option[40];

	snprintf(tcti_option, sizeof tcti_option, "--tcti=%s", tcti);
	snprintf(deadline_option, sizeof deadline_option, "--deadline-ms=%s", deadline);
	if (dup2(socket, PROCESS_FD) < 0 || (notes_fd >= 0 && dup2(notes_fd, 4) < 0))
		_exit(126);
	execl(program, program, tcti_option, deadline_option,
		notes_fd >= 0 ? "--notes-fd=4" : (char *)NULL, (char *)NULL);
	_exit(127);
}

static void start_with(struct sealer *sealer, const char *tcti, const char *deadline, int notes_fd)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	/* Out of the way of the descriptors that the sealer gets. */
	sealer->socket = fcntl(pair[0], F_DUPFD_CLOEXEC, 10);
	close(pair[0]);
	pair[0] = fcntl(pair[1], F_DUPFD_CLOEXEC, 10);
	close(pair[1]);
	sealer->pid = fork();
	assert_true(sealer->pid >= 0);
	if (sealer->pid == 0)
		run_sealer(pair[0], tcti, deadline, notes_fd);
	close(pair[0]);
}

static void start(struct sealer *sealer)
{
	start_with(sealer, ABSENT_TPM, "5000", -1);
}

/* Closes, and gives the exit status, or minus the signal. */
static int finish(struct sealer *sealer)
{
	int status;

	close(sealer->socket);
	assert_int_equal(waitpid(sealer->pid, &status, 0), sealer->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void ask(const struct sealer *sealer, const void *frame, size_t size)
{
	assert_int_equal(send(sealer->socket, frame, size, MSG_NOSIGNAL), size);
}

/* False at the end. ECONNRESET comes first, once, if the sealer left a request unread. */
static bool read_answer(struct sealer *sealer)
{
	ssize_t size = recv(sealer->socket, sealer->answer_bytes, FRAME_SIZE, 0);

	if (size < 0 && errno == ECONNRESET)
		size = recv(sealer->socket, sealer->answer_bytes, FRAME_SIZE, 0);
	if (size <= 0)
		return false;
	assert_int_equal(
		wire_parse(sealer->answer_bytes, (size_t)size, &sealer->answer), MORTISE_OK);
	return true;
}

static size_t begin_enrol(uint8_t frame[FRAME_SIZE], const char *kind, size_t entropy_size)
{
	struct wire_writer writer;
	uint8_t entropy[64] = {1, 2, 3};

	wire_begin(&writer, frame, FRAME_SIZE, SEALER_ENROL, REQUEST_ID);
	wire_put_text(&writer, PROCESS_TAG_SLOT_KIND, kind);
	wire_put(&writer, PROCESS_TAG_ENTROPY, entropy, entropy_size);
	return wire_finish(&writer);
}

static size_t begin_open(uint8_t frame[FRAME_SIZE], const void *blob, size_t size)
{
	struct wire_writer writer;

	wire_begin(&writer, frame, FRAME_SIZE, SEALER_OPEN, REQUEST_ID);
	wire_put_text(&writer, PROCESS_TAG_SLOT_KIND, "tpm2");
	wire_put(&writer, PROCESS_TAG_BLOB, blob, size);
	return wire_finish(&writer);
}

static void expect_status(const void *frame, size_t size, enum mortise_status status)
{
	struct sealer sealer;

	start(&sealer);
	ask(&sealer, frame, size);
	assert_true(read_answer(&sealer));
	assert_int_equal(sealer.answer.code, status);
	assert_false(wire_has(&sealer.answer, PROCESS_TAG_KEY));
	assert_false(read_answer(&sealer));
	assert_int_equal(finish(&sealer), 0);
}

static enum token_fault fault_of(const struct sealer *sealer)
{
	char text[WIRE_TEXT_MAX];
	uint64_t fault = 0;

	assert_int_equal(sealer->answer.code, MORTISE_HARDWARE);
	assert_int_equal(sealer->answer.request_id, REQUEST_ID);
	assert_int_equal(wire_number(&sealer->answer, PROCESS_TAG_FAULT, &fault), MORTISE_OK);
	assert_int_equal(
		wire_text(&sealer->answer, PROCESS_TAG_TEXT, text, sizeof text), MORTISE_OK);
	assert_true(text[0] != '\0');
	for (const char *at = text; *at != '\0'; at++)
		assert_in_range(*at, ' ', '~');
	return (enum token_fault)fault;
}

/* Runs the sealer as a person would; its exit status, or -1. */
static int run_by_hand(const char *arguments, char output[1024])
{
	char command[512];
	FILE *lines;
	int status;

	snprintf(command, sizeof command, "exec '%s' %s 3>&- 2>&1", getenv("MORTISE_TEST_SEALER"),
		arguments);
	lines = popen(command, "re");
	assert_non_null(lines);
	output[fread(output, 1, 1023, lines)] = '\0';
	status = pclose(lines);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void started_by_hand_it_says_so_in_one_line(void **state)
{
	char output[1024];

	(void)state;
	assert_int_equal(run_by_hand("--tcti=" ABSENT_TPM " --deadline-ms=100", output), 64);
	assert_non_null(strstr(output, "mortised"));
	assert_ptr_equal(strchr(output, '\n'), output + strlen(output) - 1);
}

static void help_and_version_need_no_keeper(void **state)
{
	char output[1024];

	(void)state;
	assert_int_equal(run_by_hand("--help", output), 0);
	assert_non_null(strstr(output, "Usage: mortise-sealer"));
	assert_int_equal(run_by_hand("--version", output), 0);
	assert_ptr_equal(strstr(output, "mortise-sealer "), output);
}

static void wrong_options_are_refused(void **state)
{
	static const char *const wrong[] = {
		"", "0", "-5", "5x", "600001", "99999999999999999999", " 5", "0x10"};
	struct sealer sealer;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		start_with(&sealer, ABSENT_TPM, wrong[i], -1);
		assert_int_equal(finish(&sealer), 64);
	}
}

static void a_keeper_that_is_gone_ends_it(void **state)
{
	struct sealer sealer;

	(void)state;
	start(&sealer);
	assert_int_equal(finish(&sealer), 74);
}

static void malformed_frames_are_invalid(void **state)
{
	uint8_t frame[FRAME_SIZE] = {0};
	size_t size;

	(void)state;
	expect_status("x", 1, MORTISE_INVALID);
	expect_status(frame, WIRE_HEADER_SIZE, MORTISE_INVALID);
	size = begin_enrol(frame, "tpm2", KEY_SIZE);
	expect_status(frame, size - 1, MORTISE_INVALID);
	expect_status(frame, size + 1, MORTISE_INVALID);
}

static void a_frame_that_is_too_large_is_invalid(void **state)
{
	uint8_t frame[FRAME_SIZE];
	uint8_t blob[10000] = {0};

	(void)state;
	expect_status(frame, begin_open(frame, blob, sizeof blob), MORTISE_INVALID);
	expect_status(frame, begin_open(frame, blob, TOKEN_BLOB_MAX + 1), MORTISE_INVALID);
}

static void fields_that_do_not_fit_are_invalid(void **state)
{
	struct wire_writer writer;
	uint8_t frame[FRAME_SIZE];

	(void)state;
	expect_status(frame, begin_enrol(frame, "tpm2", KEY_SIZE - 1), MORTISE_INVALID);
	expect_status(frame, begin_enrol(frame, "tpm2", KEY_SIZE + 1), MORTISE_INVALID);
	expect_status(frame, begin_open(frame, "", 0), MORTISE_INVALID);
	wire_begin(&writer, frame, sizeof frame, SEALER_OPEN, REQUEST_ID);
	wire_put_text(&writer, PROCESS_TAG_SLOT_KIND, "tpm2");
	expect_status(frame, wire_finish(&writer), MORTISE_INVALID);
	wire_begin(&writer, frame, sizeof frame, SEALER_OPEN, REQUEST_ID);
	wire_put(&writer, PROCESS_TAG_BLOB, "blob", 4);
	expect_status(frame, wire_finish(&writer), MORTISE_INVALID);
	wire_begin(&writer, frame, sizeof frame, SEALER_OPEN, REQUEST_ID);
	wire_put_text(&writer, PROCESS_TAG_NAME, "too/much");
	wire_put_text(&writer, PROCESS_TAG_SLOT_KIND, "tpm2");
	wire_put(&writer, PROCESS_TAG_BLOB, "blob", 4);
	expect_status(frame, wire_finish(&writer), MORTISE_INVALID);
	/* No PIN is even taken where none may be tried. */
	wire_begin(&writer, frame, sizeof frame, SEALER_HEALTH, REQUEST_ID);
	wire_put_text(&writer, PROCESS_TAG_SLOT_KIND, "tpm2");
	wire_put(&writer, PROCESS_TAG_PIN, "1234", 4);
	wire_put(&writer, PROCESS_TAG_BLOB, "blob", 4);
	expect_status(frame, wire_finish(&writer), MORTISE_INVALID);
}

static void other_operations_are_invalid(void **state)
{
	struct wire_writer writer;
	uint8_t frame[FRAME_SIZE];

	(void)state;
	for (uint16_t code = SEALER_ENROL - 2; code < SEALER_HEALTH + 3; code++) {
		if (code >= SEALER_ENROL && code <= SEALER_HEALTH)
			continue;
		wire_begin(&writer, frame, sizeof frame, code, REQUEST_ID);
		wire_put_text(&writer, PROCESS_TAG_SLOT_KIND, "tpm2");
		wire_put(&writer, PROCESS_TAG_BLOB, "blob", 4);
		expect_status(frame, wire_finish(&writer), MORTISE_INVALID);
	}
}

static void expect_fault(const void *frame, size_t size, enum token_fault fault)
{
	struct sealer sealer;

	start(&sealer);
	ask(&sealer, frame, size);
	assert_true(read_answer(&sealer));
	assert_int_equal(fault_of(&sealer), fault);
	assert_int_equal(finish(&sealer), 0);
}

static void an_unknown_kind_of_slot_is_unsupported(void **state)
{
	uint8_t frame[FRAME_SIZE];

	(void)state;
	expect_fault(frame, begin_enrol(frame, "tpm3", KEY_SIZE), TOKEN_FAULT_UNSUPPORTED);
}

static void an_absent_tpm_is_told(void **state)
{
	uint8_t frame[FRAME_SIZE];

	(void)state;
	expect_fault(frame, begin_enrol(frame, "tpm2", KEY_SIZE), TOKEN_FAULT_ABSENT);
}

static void a_blob_that_is_none_is_told(void **state)
{
	uint8_t frame[FRAME_SIZE];

	(void)state;
	expect_fault(frame, begin_open(frame, "no blob", 7), TOKEN_FAULT_MALFORMED);
}

static void enrol(const char *tcti, int notes_fd, struct sealer *sealer)
{
	uint8_t frame[FRAME_SIZE];

	start_with(sealer, tcti, "5000", notes_fd);
	ask(sealer, frame, begin_enrol(frame, "tpm2", KEY_SIZE));
	assert_true(read_answer(sealer));
	assert_int_equal(finish(sealer), 0);
	assert_int_equal(sealer->answer.code, MORTISE_OK);
	assert_int_equal(sealer->answer.request_id, REQUEST_ID);
	assert_int_equal(wire_field_of(&sealer->answer, PROCESS_TAG_KEY)->size, KEY_SIZE);
	assert_true(wire_has(&sealer->answer, PROCESS_TAG_BLOB));
}

static void what_one_sealer_enrols_another_opens(void **state)
{
	struct sealer first, second;
	struct tpm_fixture tpm;
	uint8_t frame[FRAME_SIZE];
	int notes;

	(void)state;
	if (!tpm_start(&tpm))
		skip();
	notes = memfd_create("notes", MFD_CLOEXEC);
	enrol(tpm.tcti, notes, &first);
	const struct wire_field *blob = wire_field_of(&first.answer, PROCESS_TAG_BLOB);
	start_with(&second, tpm.tcti, "5000", notes);
	ask(&second, frame, begin_open(frame, blob->bytes, blob->size));
	assert_true(read_answer(&second));
	assert_int_equal(second.answer.code, MORTISE_OK);
	assert_false(wire_has(&second.answer, PROCESS_TAG_BLOB));
	const struct wire_field *key = wire_field_of(&second.answer, PROCESS_TAG_KEY);
	assert_int_equal(key->size, KEY_SIZE);
	assert_memory_equal(
		key->bytes, wire_field_of(&first.answer, PROCESS_TAG_KEY)->bytes, KEY_SIZE);
	assert_int_equal(finish(&second), 0);
	close(notes);
	tpm_stop(&tpm);
}

static void it_answers_once_and_is_gone(void **state)
{
	struct sealer sealer;
	uint8_t frame[FRAME_SIZE];
	size_t size = begin_enrol(frame, "tpm2", KEY_SIZE);

	(void)state;
	start(&sealer);
	ask(&sealer, frame, size);
	/* It may be gone by now, as it should. */
	(void)!send(sealer.socket, frame, size, MSG_NOSIGNAL);
	assert_true(read_answer(&sealer));
	assert_false(read_answer(&sealer));
	assert_int_equal(finish(&sealer), 0);
}

static void a_hung_tpm_ends_it_after_the_deadline(void **state)
{
	struct sealer sealer;
	struct tpm_fixture tpm;
	uint8_t frame[FRAME_SIZE];

	(void)state;
	if (!tpm_start(&tpm))
		skip();
	assert_int_equal(kill(tpm.swtpm, SIGSTOP), 0);
	start_with(&sealer, tpm.tcti, "50", -1);
	ask(&sealer, frame, begin_enrol(frame, "tpm2", KEY_SIZE));
	assert_false(read_answer(&sealer));
	assert_int_equal(finish(&sealer), -SIGALRM);
	assert_int_equal(kill(tpm.swtpm, SIGCONT), 0);
	tpm_stop(&tpm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(started_by_hand_it_says_so_in_one_line),
		cmocka_unit_test(help_and_version_need_no_keeper),
		cmocka_unit_test(wrong_options_are_refused),
		cmocka_unit_test(a_keeper_that_is_gone_ends_it),
		cmocka_unit_test(malformed_frames_are_invalid),
		cmocka_unit_test(a_frame_that_is_too_large_is_invalid),
		cmocka_unit_test(fields_that_do_not_fit_are_invalid),
		cmocka_unit_test(other_operations_are_invalid),
		cmocka_unit_test(an_unknown_kind_of_slot_is_unsupported),
		cmocka_unit_test(an_absent_tpm_is_told),
		cmocka_unit_test(a_blob_that_is_none_is_told),
		cmocka_unit_test(what_one_sealer_enrols_another_opens),
		cmocka_unit_test(it_answers_once_and_is_gone),
		cmocka_unit_test(a_hung_tpm_ends_it_after_the_deadline),
	};

	if (getenv("MORTISE_TEST_SEALER") == NULL)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
