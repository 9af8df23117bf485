#!/bin/sh
# Private database servers around a command, inside its sandbox:
#
#   pybots_services.sh FOLDER prepare NAME...           make each server's data, and see that it starts
#   pybots_services.sh FOLDER run NAME... -- COMMAND    start them on a fresh copy, run the command, end them
#
# Each has FOLDER/NAME with its socket, its data and its log. They listen on the socket only. Nothing is waited for by
# asking again and again: a server says in its log that it is ready. Exit status: the command's; of `prepare` 1 when a
# server cannot be had, its log on stderr.
set -eu
folder=$1
task=$2
shift 2
servers=

# As a service's user only: they refuse root, and data that is thrown away need not survive a power cut.
bin_postgresql() {
    for path in /usr/bin /usr/lib/postgresql/*/bin; do
        if [ -x "$path/postgres" ] && [ -x "$path/initdb" ]; then bin=$path; fi
    done
    if [ -z "${bin-}" ]; then echo 'pybots: there is no PostgreSQL here' >&2; return 1; fi
}

make_mariadb() {
    mariadb-install-db --no-defaults --datadir="$home/data" --auth-root-authentication-method=normal \
        --skip-test-db --skip-name-resolve --innodb-log-file-size=16M
    cat >"$home/first.sql" <<SQL
CREATE DATABASE pybots CHARACTER SET utf8mb4;
CREATE USER pybots@localhost;
GRANT ALL PRIVILEGES ON *.* TO pybots@localhost WITH GRANT OPTION;
SQL
    cat >"$home/client.cnf" <<CNF
[client]
socket = $home/socket
user = pybots
database = pybots
CNF
}

start_mariadb() {
    exec mariadbd --no-defaults --datadir="$home/data" --socket="$home/socket" --pid-file="$home/pid" --skip-networking \
        --skip-name-resolve --innodb-log-file-size=16M --innodb-flush-log-at-trx-commit=0 --lc-messages=en_US "$@"
}

first_mariadb() { start_mariadb --init-file="$home/first.sql"; }

make_postgresql() {
    bin_postgresql
    "$bin/initdb" -D "$home/data" -U pybots -A trust -E UTF8 --locale=C.UTF-8 -N --no-instructions
    echo 'CREATE DATABASE pybots' | "$bin/postgres" --single -j -D "$home/data" postgres
}

start_postgresql() {
    bin_postgresql
    exec "$bin/postgres" -D "$home/data" -k "$home" -h '' -F -c full_page_writes=off -c lc_messages=C \
        -c logging_collector=off -c max_prepared_transactions=10
}

first_postgresql() { start_postgresql; }

words_of() { case $1 in mariadb) echo 'ready for connections' ;; *) echo 'ready to accept connections' ;; esac; }

# The server's log to its file; one line to stdout, which is then closed, when it holds the words.
listen() {
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$home/log"
        case $line in *"$1"*)
            echo ready
            exec >>"$home/log"
            exec cat
            ;;
        esac
    done
}

# start NAME HOW: its process id in `pid`. Both pipes end with the server, so nothing waits for a dead one.
start() {
    home=$folder/$1
    rm -f "$home/out" "$home/told"
    mkfifo "$home/out" "$home/told"
    listen "$(words_of "$1")" <"$home/out" >"$home/told" &
    ("$2_$1") >"$home/out" 2>&1 &
    pid=$!
    read -r answer <"$home/told" || {
        wait "$pid" || echo "pybots: $1 ended with status $?, this is its log:" >&2
        tail -n 100 "$home/log" >&2
        return 1
    }
}

case $task in
prepare)
    chmod -R u+rwX "$folder" 2>/dev/null || true
    rm -rf "$folder"
    for name in "$@"; do
        home=$folder/$name
        mkdir -p "$home"
        : >"$home/log"
        ("make_$name") >>"$home/log" 2>&1 || {
            echo "pybots: $name cannot make its data, this is its log:" >&2
            tail -n 100 "$home/log" >&2
            exit 1
        }
        start "$name" first
        kill -TERM "$pid"
        wait "$pid" || true
        mv "$home/data" "$home/clean"
    done
    ;;
run)
    while [ "$1" != -- ]; do
        rm -rf "$folder/$1/data" "$folder/$1/socket"
        cp -a "$folder/$1/clean" "$folder/$1/data"
        start "$1" start
        servers="$servers $pid"
        shift
    done
    shift
    status=0
    "$@" || status=$?
    # Nobody will read this data again.
    # shellcheck disable=SC2086 # the ids are words
    kill -KILL $servers 2>/dev/null || true
    exit "$status"
    ;;
esac
