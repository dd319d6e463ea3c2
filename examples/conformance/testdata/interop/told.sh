# told.sh FILE AUDIENCE TYPE EMAIL OUTPUT: prints a file if the protocol's variables say what they should.
# "-" stands for a variable that is not set.
check() {
	[ "$1" = "$2" ] || { echo "told '$1', want '$2'" >&2; exit 9; }
}
check "${GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE--}" "$2"
check "${GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE--}" "$3"
check "${GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL--}" "$4"
check "${GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE--}" "$5"
check "${GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE--}" 0
cat "$1"
