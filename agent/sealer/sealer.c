/* SPDX-License-Identifier: ISC */
/*
 * mortise-sealer: one operation on a TPM or token for the keeper, then exit.
 * The only program that loads hardware libraries. It reads one request from the socket on
 * descriptor 3, answers it and is gone; what the libraries keep in their heap goes with it.
 * It never sees the master key.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <sodium.h>

#include "log.h"
#include "processes.h"
#include "secret.h"
#include "token.h"
#include "wire.h"

#ifndef MORTISE_VERSION
#define MORTISE_VERSION "unversioned"
#endif

#define POOL_SIZE       (256 * 1024)
#define FRAME_SIZE      8192 /* a request or an answer: a blob, a key and their headers */
#define DEADLINE_MAX_MS 600000
#define ALARM_GRACE_MS  1000 /* the keeper kills at the deadline; this is if the keeper can't */

#define EXIT_USAGE 64 /* EX_USAGE, EX_OSERR and EX_IOERR of sysexits.h */
#define EXIT_OS    71
#define EXIT_IO    74

static const struct token *const tokens[] = {&token_tpm2};

#define TOKENS (sizeof tokens / sizeof *tokens)

/* What came of a request. */
struct outcome {
	enum mortise_status status;
	struct token_failure failure; /* with MORTISE_HARDWARE */
	struct secret *h;
	uint8_t blob[TOKEN_BLOB_MAX];
	size_t blob_size; /* 0: none */
};

static const struct token *find_token(const struct wire_message *request)
{
	char kind[16];

	if (wire_text(request, WIRE_TAG_SLOT_KIND, kind, sizeof kind) != MORTISE_OK)
		return NULL;
	for (size_t i = 0; i < TOKENS; i++) {
		if (strcmp(tokens[i]->kind, kind) == 0)
			return tokens[i];
	}
	return NULL;
}

static enum mortise_status enrol(const struct token_options *options, const struct token *token,
	const struct wire_message *request, struct outcome *outcome)
{
	const struct wire_field *entropy = &request->field[WIRE_TAG_ENTROPY];

	if (request->present != (WIRE_ALLOW(WIRE_TAG_SLOT_KIND) | WIRE_ALLOW(WIRE_TAG_ENTROPY)) ||
		entropy->size != KEY_SIZE)
		return MORTISE_INVALID;
	return token->enrol(options, entropy->bytes, outcome->blob, &outcome->blob_size,
		&outcome->h, &outcome->failure);
}

static enum mortise_status open_slot(const struct token_options *options, const struct token *token,
	const struct wire_message *request, struct outcome *outcome)
{
	const struct wire_field *blob = &request->field[WIRE_TAG_BLOB];

	if (request->present != (WIRE_ALLOW(WIRE_TAG_SLOT_KIND) | WIRE_ALLOW(WIRE_TAG_BLOB)) ||
		blob->size == 0 || blob->size > TOKEN_BLOB_MAX)
		return MORTISE_INVALID;
	return token->open(options, blob->bytes, blob->size, &outcome->h, &outcome->failure);
}

static enum mortise_status perform(const struct token_options *options,
	const struct wire_message *request, struct outcome *outcome)
{
	const struct token *token;

	if (!wire_has(request, WIRE_TAG_SLOT_KIND) ||
		(request->code != SEALER_ENROL && request->code != SEALER_OPEN))
		return MORTISE_INVALID;
	token = find_token(request);
	if (token == NULL) {
		outcome->failure =
			(struct token_failure){TOKEN_FAULT_UNSUPPORTED, "no such kind of slot"};
		return MORTISE_HARDWARE;
	}
	return request->code == SEALER_ENROL ? enrol(options, token, request, outcome)
					     : open_slot(options, token, request, outcome);
}

/* The keeper gets one line of ASCII, whatever a library wrote. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~')
			*text = '?';
	}
}

static size_t write_answer(struct secret *frame, uint32_t request_id, struct outcome *outcome)
{
	struct wire_writer writer;

	wire_begin(&writer, frame->bytes, frame->size, (uint16_t)outcome->status, request_id);
	if (outcome->status == MORTISE_HARDWARE) {
		make_printable(outcome->failure.detail);
		wire_put_text(&writer, WIRE_TAG_TEXT, outcome->failure.detail);
	}
	if (outcome->status == MORTISE_OK) {
		wire_put(&writer, WIRE_TAG_KEY, outcome->h->bytes, outcome->h->size);
		if (outcome->blob_size > 0)
			wire_put(&writer, WIRE_TAG_BLOB, outcome->blob, outcome->blob_size);
	}
	if (outcome->status == MORTISE_HARDWARE)
		wire_put_number(&writer, WIRE_TAG_FAULT, outcome->failure.fault);
	return wire_finish(&writer);
}

/* One message into frame; MSG_TRUNC makes a longer one show its size. */
static bool receive(struct secret *frame, size_t *out_size)
{
	ssize_t size;

	do
		size = recv(PROCESS_FD, frame->bytes, frame->size, MSG_TRUNC);
	while (size < 0 && errno == EINTR);
	if (size <= 0)
		return false;
	*out_size = (size_t)size;
	return true;
}

static int answer(struct secret *frame, uint32_t request_id, struct outcome *outcome)
{
	size_t size = write_answer(frame, request_id, outcome);
	ssize_t sent;

	secret_drop(&outcome->h);
	if (size == 0)
		return EXIT_OS;
	sent = send(PROCESS_FD, frame->bytes, size, MSG_NOSIGNAL);
	return sent == (ssize_t)size ? EXIT_SUCCESS : EXIT_IO;
}

static int serve(const struct token_options *options)
{
	CLEANUP(secret_drop) struct secret *frame = NULL;
	struct wire_message request = {0};
	struct outcome outcome = {.status = MORTISE_INVALID};
	size_t size;

	if (secret_new(FRAME_SIZE, &frame) != MORTISE_OK)
		return EXIT_OS;
	if (!receive(frame, &size))
		return EXIT_IO;
	if (size <= frame->size)
		outcome.status = wire_parse(frame->bytes, size, &request);
	if (outcome.status == MORTISE_OK)
		outcome.status = perform(options, &request, &outcome);
	return answer(frame, request.request_id, &outcome);
}

static bool start_alarm(int deadline_ms)
{
	int total_ms = deadline_ms + ALARM_GRACE_MS;
	struct itimerval timer = {
		.it_value = {.tv_sec = total_ms / 1000, .tv_usec = total_ms % 1000 * 1000},
	};
	sigset_t none;

	sigemptyset(&none);
	return signal(SIGALRM, SIG_DFL) != SIG_ERR && sigprocmask(SIG_SETMASK, &none, NULL) == 0 &&
	       setitimer(ITIMER_REAL, &timer, NULL) == 0;
}

/* Dies with the monitor, leaves no core, is nobody's to trace, gains nothing by exec. */
static bool confine(void)
{
	const struct rlimit no_core = {0};
	pid_t parent = getppid();

	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent &&
	       setrlimit(RLIMIT_CORE, &no_core) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0 &&
	       prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* Nothing of the environment steers the libraries; tpm2-tss would log to standard error. */
static bool clean_environment(void)
{
	return clearenv() == 0 && setenv("TSS2_LOG", "all+none", 1) == 0 &&
	       setenv("PATH", "/usr/bin:/bin", 1) == 0;
}

static bool is_keeper_there(void)
{
	int type;
	socklen_t size = sizeof type;

	return getsockopt(PROCESS_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
	       type == SOCK_SEQPACKET;
}

/* A decimal number between least and most, and nothing else. */
static bool read_number(const char *text, int least, int most, int *out_number)
{
	char *end;
	long number;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	number = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || number < least || number > most)
		return false;
	*out_number = (int)number;
	return true;
}

static void print_help(void)
{
	printf("Usage: mortise-sealer --tcti=T --deadline-ms=N [--notes-fd=FD]\n"
	       "One operation on the TPM for mortised, which starts this program.\n\n"
	       "  --tcti=T          device:/PATH, tabrmd or swtpm:path=/PATH\n"
	       "  --deadline-ms=N   for the whole operation\n"
	       "  --notes-fd=FD     where sealers note what they opened in the TPM\n"
	       "  --help, --version\n");
}

static const struct option long_options[] = {
	{"tcti", required_argument, NULL, 't'},
	{"deadline-ms", required_argument, NULL, 'd'},
	{"notes-fd", required_argument, NULL, 'n'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

/* False: the program ends with *out_exit. */
static bool read_arguments(int argc, char **argv, struct token_options *options, int *out_exit)
{
	bool is_right = true;
	int letter;

	while (is_right && (letter = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (letter) {
		case 't':
			options->tcti = optarg;
			break;
		case 'd':
			is_right = read_number(optarg, 1, DEADLINE_MAX_MS, &options->deadline_ms);
			break;
		case 'n':
			is_right = read_number(optarg, PROCESS_FD + 1, 1024, &options->notes_fd);
			break;
		case 'h':
			print_help();
			*out_exit = EXIT_SUCCESS;
			return false;
		case 'V':
			printf("mortise-sealer %s\n", MORTISE_VERSION);
			*out_exit = EXIT_SUCCESS;
			return false;
		default:
			is_right = false;
		}
	}
	*out_exit = EXIT_USAGE;
	return is_right && optind == argc && options->tcti != NULL && options->deadline_ms > 0;
}

int main(int argc, char **argv)
{
	struct token_options options = {.notes_fd = -1};
	int status;

	log_open("mortise-sealer");
	opterr = 0;
	if (!read_arguments(argc, argv, &options, &status)) {
		if (status == EXIT_USAGE)
			log_error("wrong options; see: mortise-sealer --help");
		return status;
	}
	if (!is_keeper_there()) {
		log_error("no socket on descriptor 3: mortised starts this program");
		return EXIT_USAGE;
	}
	if (!confine() || !clean_environment() || !start_alarm(options.deadline_ms) ||
		sodium_init() < 0) {
		log_error("cannot set up the process: %s", strerror(errno));
		return EXIT_OS;
	}
	if (secret_pool_open(POOL_SIZE) != MORTISE_OK) {
		log_error(
			"cannot lock memory for secrets: %s; raise LimitMEMLOCK", strerror(errno));
		return EXIT_OS;
	}
	status = serve(&options);
	secret_pool_close();
	return status;
}
