/* SPDX-License-Identifier: ISC */
#include "sealer_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "processes.h"

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

bool sealer_options_read(int argc, char **argv, struct token_options *options, int *out_exit)
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
	return is_right && optind == argc && options->tcti != NULL && options->deadline_ms > 0;
}
