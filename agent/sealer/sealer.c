/* SPDX-License-Identifier: ISC */
/*
 * mortise-sealer: one operation on a TPM or token for the keeper, then exit.
 * The only program that loads hardware libraries. It reads requests from the socket on
 * descriptor 3 (an unseal, and what follows from it in the same run), answers them and is gone;
 * what the libraries keep in their heap goes with it. It never sees the master key.
 */
#include <errno.h>
#include <getopt.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"
#include "processes.h"
#include "sealer_process.h"
#include "secret.h"
#include "token.h"
#include "wire.h"

/* The sealer's command line, as the monitor writes it. Prints help and version. */

#define SEALER_EXIT_USAGE 64 /* EX_USAGE of sysexits.h */

#ifndef MORTISE_VERSION
#define MORTISE_VERSION "unversioned"
#endif

#define DEADLINE_MAX_MS 600000
#define NOTES_FD_MAX    1024

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
	printf("Usage: mortise-sealer --tcti=T --deadline-ms=N [OPTIONS]\n"
	       "One operation on a TPM or token for mortised, which starts this program.\n\n"
	       "  --tcti=T          device:/PATH, tabrmd or swtpm:path=/PATH\n"
	       "  --deadline-ms=N   for the whole operation\n"
	       "  --notes-fd=FD     where sealers note what they opened in the TPM\n"
	       "  --pcr-signature=FILE    instead of systemd's tpm2-pcr-signature.json\n"
	       "  --pkcs11-modules=PATHS  the PKCS #11 modules to load, separated by blanks\n"
	       "  --pkcs11-pin-file=F     the token's PIN, where none is given\n"
	       "  --insecure-memory=yes   where memory cannot be locked, go on\n"
	       "  --help, --version\n"
	       "MORTISE_PKCS11_ENV: what a module finds in its environment\n");
}

static const struct option long_options[] = {
	{"tcti", required_argument, NULL, 't'},
	{"deadline-ms", required_argument, NULL, 'd'},
	{"notes-fd", required_argument, NULL, 'n'},
	{"pcr-signature", required_argument, NULL, 's'},
	{"pkcs11-modules", required_argument, NULL, 'm'},
	{"pkcs11-pin-file", required_argument, NULL, 'p'},
	{"insecure-memory", required_argument, NULL, 'i'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

/* False: the program ends with *out_exit. */
static bool sealer_options_read(int argc, char **argv, struct token_options *options, int *out_exit)
{
	bool is_right = true;
	int letter;

	opterr = 0;
	while (is_right && (letter = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (letter) {
		case 't':
			options->tcti = optarg;
			break;
		case 'd':
			is_right = read_number(optarg, 1, DEADLINE_MAX_MS, &options->deadline_ms);
			break;
		case 'n':
			is_right = read_number(
				optarg, PROCESS_FD + 1, NOTES_FD_MAX, &options->notes_fd);
			break;
		case 's':
			is_right = *optarg == '/';
			options->pcr_signature = optarg;
			break;
		case 'm':
			options->pkcs11_modules = optarg;
			break;
		case 'p':
			options->pkcs11_pin_file = optarg;
			break;
		case 'i':
			is_right = strcmp(optarg, "yes") == 0;
			options->has_insecure_memory = is_right;
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
	*out_exit = SEALER_EXIT_USAGE;
	return is_right && optind == argc && options->tcti && options->deadline_ms > 0;
}

#define POOL_SIZE  (256 * 1024)
#define FRAME_SIZE 8192 /* a request or an answer: a blob, a key and their headers */

#define EXIT_OS 71 /* EX_OSERR and EX_IOERR of sysexits.h */
#define EXIT_IO 74

static const struct token *const tokens[] = {&token_tpm2, &token_pkcs11};

#define TOKENS    (sizeof tokens / sizeof *tokens)
#define TAG(name) PROCESS_TAG_##name

struct sealer {
	struct token_run run;
	const struct token *token; /* whose state the run has; NULL before the first request */
};

static const struct token *find_token(const struct wire_message *request)
{
	char kind[16];

	if (wire_text(request, PROCESS_TAG_SLOT_KIND, kind, sizeof kind) != MORTISE_OK)
		return NULL;
	for (size_t i = 0; i < TOKENS; i++) {
		if (strcmp(tokens[i]->kind, kind) == 0)
			return tokens[i];
	}
	return NULL;
}

static struct token_bytes bytes_of(const struct wire_message *request, unsigned tag)
{
	const struct wire_field *field = wire_field_of(request, tag);

	return (struct token_bytes){field->bytes, field->size};
}

static enum mortise_status read_pin(const struct wire_message *request, struct secret **out_pin)
{
	struct token_bytes pin = bytes_of(request, PROCESS_TAG_PIN);

	if (!wire_has(request, PROCESS_TAG_PIN))
		return MORTISE_OK;
	if (pin.size == 0 || pin.size > TOKEN_PIN_MAX)
		return MORTISE_INVALID;
	return secret_copy(pin.bytes, pin.size, out_pin);
}

/* uri has room for TOKEN_URI_MAX bytes and a NUL. The wish points into request and uri. */
static enum mortise_status read_wish(
	const struct wire_message *request, char *uri, struct token_wish *out_wish)
{
	uint64_t pcrs = 0;

	out_wish->pcr_key = bytes_of(request, PROCESS_TAG_PUBLIC_KEY);
	if (out_wish->pcr_key.size > TOKEN_PEM_MAX)
		return MORTISE_INVALID;
	if (wire_has(request, PROCESS_TAG_PCRS))
		TRY(wire_number(request, PROCESS_TAG_PCRS, &pcrs));
	if (pcrs > 0xffffff)
		return MORTISE_INVALID;
	out_wish->pcrs = (uint32_t)pcrs;
	if (!wire_has(request, PROCESS_TAG_URI))
		return MORTISE_OK;
	TRY(wire_text(request, PROCESS_TAG_URI, uri, TOKEN_URI_MAX + 1));
	out_wish->uri = uri;
	return MORTISE_OK;
}

static enum mortise_status enrol(struct token_run *run, const struct token *token,
	const struct wire_message *request, struct token_result *result)
{
	struct token_bytes entropy = bytes_of(request, PROCESS_TAG_ENTROPY);
	CLEANUP(secret_drop) struct secret *pin = NULL;
	char uri[TOKEN_URI_MAX + 1];
	struct token_wish wish = {0};

	if (!wire_has_fields(request, WIRE_TAGS(TAG(SLOT_KIND), TAG(ENTROPY)),
		    WIRE_TAGS(TAG(PIN), TAG(URI), TAG(PCRS), TAG(PUBLIC_KEY))) ||
		entropy.size != KEY_SIZE)
		return MORTISE_INVALID;
	TRY(read_pin(request, &pin));
	TRY(read_wish(request, uri, &wish));
	wish.pin = pin;
	return token->enrol(run, &wish, entropy.bytes, result);
}

static enum mortise_status open_slot(struct token_run *run, const struct token *token,
	const struct wire_message *request, struct token_result *result)
{
	struct token_opening opening = {.blob = bytes_of(request, PROCESS_TAG_BLOB)};
	CLEANUP(secret_drop) struct secret *pin = NULL;

	if (!wire_has_fields(request, WIRE_TAGS(TAG(SLOT_KIND), TAG(BLOB)), WIRE_TAGS(TAG(PIN))) ||
		opening.blob.size == 0 || opening.blob.size > TOKEN_BLOB_MAX)
		return MORTISE_INVALID;
	TRY(read_pin(request, &pin));
	opening.pin = pin;
	return token->open(run, &opening, result);
}

static enum mortise_status ask_anchor(struct token_run *run, const struct token *token,
	const struct wire_message *request, struct token_result *result)
{
	struct token_anchor anchor = {.place = bytes_of(request, PROCESS_TAG_BLOB)};
	struct token_bytes auth = bytes_of(request, PROCESS_TAG_KEY);
	CLEANUP(secret_drop) struct secret *kept_auth = NULL;
	uint16_t needed[] = {TAG(SLOT_KIND), TAG(NUMBER), TAG(KEY), 0, 0, 0};
	uint64_t action = 0;

	TRY(wire_number(request, PROCESS_TAG_NUMBER, &action));
	if (action < TOKEN_ANCHOR_DEFINE || action > TOKEN_ANCHOR_REMOVE)
		return MORTISE_INVALID;
	if (action != TOKEN_ANCHOR_DEFINE)
		needed[3] = TAG(BLOB);
	if (action == TOKEN_ANCHOR_INCREMENT) {
		needed[4] = TAG(COUNTER);
		TRY(wire_number(request, PROCESS_TAG_COUNTER, &anchor.expected));
	}
	if (!wire_has_fields(request, needed, NULL) || auth.size != KEY_SIZE ||
		anchor.place.size > TOKEN_BLOB_MAX)
		return MORTISE_INVALID;
	TRY(secret_copy(auth.bytes, auth.size, &kept_auth));
	anchor.action = (enum token_anchor_action)action;
	anchor.auth = kept_auth;
	return token->anchor(run, &anchor, result);
}

static enum mortise_status ask_health(struct token_run *run, const struct token *token,
	const struct wire_message *request, struct token_result *result)
{
	struct token_bytes blob = bytes_of(request, PROCESS_TAG_BLOB);

	if (!wire_has_fields(request, WIRE_TAGS(TAG(SLOT_KIND), TAG(BLOB)), NULL) ||
		blob.size == 0 || blob.size > TOKEN_BLOB_MAX)
		return MORTISE_INVALID;
	return token->health(run, &blob, result);
}

static enum mortise_status lack(struct token_result *result, const char *what)
{
	result->failure.fault = TOKEN_FAULT_UNSUPPORTED;
	snprintf(result->failure.detail, sizeof result->failure.detail, "%s", what);
	return MORTISE_HARDWARE;
}

static enum mortise_status perform(
	struct sealer *sealer, const struct wire_message *request, struct token_result *result)
{
	const struct token *token = find_token(request);
	bool is_anchor = request->code == SEALER_ANCHOR;

	if (!wire_has(request, PROCESS_TAG_SLOT_KIND) || request->code < SEALER_ENROL ||
		request->code > SEALER_HEALTH)
		return MORTISE_INVALID;
	if (!token)
		return lack(result, "no such kind of slot");
	if (is_anchor && !token->anchor)
		return lack(result, "this kind of slot has no counter");
	/* The state of a run is one token's. */
	if (sealer->token && sealer->token != token)
		return MORTISE_INVALID;
	/* A vendor's module may need more than tpm2-tss does. */
	if (token == &token_tpm2 && !sealer_process_narrow())
		return lack(result, "the process cannot be confined");
	sealer->token = token;
	switch (request->code) {
	case SEALER_ENROL:
		return enrol(&sealer->run, token, request, result);
	case SEALER_OPEN:
		return open_slot(&sealer->run, token, request, result);
	case SEALER_ANCHOR:
		return ask_anchor(&sealer->run, token, request, result);
	default:
		return ask_health(&sealer->run, token, request, result);
	}
}

/* The keeper gets one line of ASCII, whatever a library wrote. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~')
			*text = '?';
	}
}

static void put_health(struct wire_writer *writer, const struct token_health *health)
{
	const uint32_t numbers[HEALTH_IDS] = {
		[HEALTH_TRIES_FAILED] = health->tries_failed,
		[HEALTH_TRIES_MAX] = health->tries_max,
		[HEALTH_BACK_S] = health->back_s,
		[HEALTH_IDLE_PCRS] = health->idle_pcrs,
	};
	uint8_t packed[sizeof numbers];

	for (size_t i = 0; i < sizeof packed; i++)
		packed[i] = (uint8_t)(numbers[i / 4] >> i % 4 * 8);
	wire_put_number(writer, PROCESS_TAG_NUMBER, health->flags);
	wire_put(writer, PROCESS_TAG_IDS, packed, sizeof packed);
}

static void put_result(struct wire_writer *writer, uint16_t code, const struct token_result *result)
{
	if (result->h && result->uri[0] != '\0')
		wire_put_text(writer, PROCESS_TAG_URI, result->uri);
	if (result->h)
		wire_put(writer, PROCESS_TAG_KEY, result->h->bytes, result->h->size);
	if (result->blob_size > 0)
		wire_put(writer, PROCESS_TAG_BLOB, result->blob, result->blob_size);
	if (code == SEALER_ANCHOR && result->counter > 0)
		wire_put_number(writer, PROCESS_TAG_COUNTER, result->counter);
	if (code == SEALER_HEALTH)
		put_health(writer, &result->health);
}

static size_t write_answer(struct secret *frame, const struct wire_message *request,
	enum mortise_status status, struct token_result *result)
{
	uint16_t code = request->code;
	struct wire_writer writer;

	wire_begin(&writer, frame->bytes, frame->size, (uint16_t)status, request->request_id);
	if (status == MORTISE_OK)
		put_result(&writer, code, result);
	if (status == MORTISE_HARDWARE) {
		make_printable(result->failure.detail);
		wire_put_text(&writer, PROCESS_TAG_TEXT, result->failure.detail);
		wire_put_number(&writer, PROCESS_TAG_FAULT, result->failure.fault);
	}
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

static int answer(struct secret *frame, const struct wire_message *request,
	enum mortise_status status, struct token_result *result)
{
	size_t size = write_answer(frame, request, status, result);
	ssize_t sent;

	secret_drop(&result->h);
	if (size == 0)
		return EXIT_OS;
	sent = send(PROCESS_FD, frame->bytes, size, MSG_NOSIGNAL);
	return sent == (ssize_t)size ? EXIT_SUCCESS : EXIT_IO;
}

/* One request and its answer; *out_goes_on after a success. */
static int serve_one(struct sealer *sealer, struct secret *frame, size_t size, bool *out_goes_on)
{
	struct wire_message request = {0};
	struct token_result result = {0};
	enum mortise_status status = MORTISE_INVALID;

	if (size <= frame->size)
		status = wire_parse(frame->bytes, size, &request);
	if (status == MORTISE_OK)
		status = perform(sealer, &request, &result);
	*out_goes_on = status == MORTISE_OK;
	return answer(frame, &request, status, &result);
}

static int serve(const struct token_options *options)
{
	CLEANUP(secret_drop) struct secret *frame = NULL;
	struct sealer sealer = {.run.options = *options};
	bool goes_on = true;
	int ending = EXIT_IO;
	size_t size;

	if (secret_new(FRAME_SIZE, &frame) != MORTISE_OK)
		return EXIT_OS;
	while (goes_on && receive(frame, &size))
		ending = serve_one(&sealer, frame, size, &goes_on);
	if (sealer.token)
		sealer.token->end(&sealer.run);
	return ending;
}

int main(int argc, char **argv)
{
	/* Not an option, for those anybody may read. It outlives clearenv(). */
	struct token_options options = {.notes_fd = -1, .pkcs11_env = getenv("MORTISE_PKCS11_ENV")};
	int status;

	log_open("mortise-sealer");
	if (!sealer_options_read(argc, argv, &options, &status)) {
		if (status == SEALER_EXIT_USAGE)
			log_error("wrong options; see: mortise-sealer --help");
		return status;
	}
	if (!sealer_process_has_keeper()) {
		log_error("no socket on descriptor 3: mortised starts this program");
		return SEALER_EXIT_USAGE;
	}
	if (!sealer_process_confine(options.deadline_ms) || sodium_init() < 0) {
		log_error("cannot set up the process: %s", strerror(errno));
		return EXIT_OS;
	}
	enum mortise_status (*open_pool)(size_t) =
		options.has_insecure_memory ? secret_pool_open_anyhow : secret_pool_open;
	if (open_pool(POOL_SIZE) != MORTISE_OK) {
		log_error(
			"cannot lock memory for secrets: %s; raise LimitMEMLOCK", strerror(errno));
		return EXIT_OS;
	}
	status = serve(&options);
	secret_pool_close();
	return status;
}
