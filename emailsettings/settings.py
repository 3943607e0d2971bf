"""Every setting, read from the environment by django-environ; the defaults are those of `./run`.

What the variables mean for an operator stands in docs/operations.md.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import environ
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()

STATE_DIR = Path(env.str("EMAILSETTINGS_STATE_DIR", default=str(BASE_DIR / "var"))).resolve()
DEBUG = env.bool("DEBUG", default=False)
HOST = env.str("HOST", default="127.0.0.1")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", HOST])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])


DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{STATE_DIR / 'emailsettings.sqlite3'}")}
DATABASE_IS_SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")


def secret(variable: str, file: str) -> str:
    """A secret from the environment, or with SQLite the one that `./run` made under the state folder."""
    if given := env.str(variable, default=""):
        return str(given).strip()
    if not DATABASE_IS_SQLITE:
        raise ImproperlyConfigured(
            f"{variable} is not set, nor {variable}_FILE. docs/operations.md says how to make it."
        )
    try:
        return (STATE_DIR / file).read_text().strip()
    except OSError as exc:
        raise ImproperlyConfigured(f"{variable} is not set. Set it, or start ./run once, which makes one.") from exc


SECRET_KEY = secret("SECRET_KEY", "secret-key")
# "id:base64 of 32 octets", comma-separated; the first one seals, the others still unseal (spec J1). Where they stand in
# a file, a change of it counts at once, in every process.
ENCRYPTION_KEYS = secret("EMAILSETTINGS_ENCRYPTION_KEYS", "encryption-keys")
ENCRYPTION_KEYS_FILE = os.environ.get("EMAILSETTINGS_ENCRYPTION_KEYS_FILE", "")
if not ENCRYPTION_KEYS_FILE and "EMAILSETTINGS_ENCRYPTION_KEYS" not in os.environ:
    ENCRYPTION_KEYS_FILE = str(STATE_DIR / "encryption-keys")

# --- Apps -------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "csp",
    "django_cotton",
    "django_htmx",
    "django_prose_editor",
    "lucide",
    "organizations",
    "notifications",
    "providers",
    "mailservers",
    "accounts",
    "mailstore",
    "delivery",
    "emailsettings",
]

MIDDLEWARE = [
    "emailsettings.health.HealthMiddleware",
    "organizations.middleware.ClientAddressMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "emailsettings.static_files.StaticFilesMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "organizations.middleware.SignInAgainMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "organizations.middleware.PersonalTimeZoneMiddleware",
    "emailsettings.body_limits.TooLargeMiddleware",
]

ROOT_URLCONF = "emailsettings.urls"
ASGI_APPLICATION = "emailsettings.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "emailsettings.navigation.navigation",
            ],
        },
    },
]
COTTON_DIR = "components"

# --- Database, cache, broker ------------------------------------------------------------------------------------

# KiB that one connection keeps of the file. The pages have one for each of up to eight kept threads: at 32 MB each, a
# walk through a log of 5 million mails left 313 MB in that process, at 8 MB 87, in no more time, since the system keeps
# the file too. A worker has one connection, and writes into large indexes with 8 % less work at 32 MB.
SQLITE_CACHE = 8_000 if "emailsettings.asgi" in sys.modules else 32_000
if DATABASE_IS_SQLITE:
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",  # a reader that turns writer must wait, not fail
        "timeout": 20,
        # FULL: what was promised survives a power cut (docs/decisions/0014-a-commit-is-on-the-disk.md).
        "init_command": f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-{SQLITE_CACHE};",
    }
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"]["CONN_MAX_AGE"] = 60
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

VALKEY_SOCKET = STATE_DIR / "valkey.sock"
BROKER_URL = env.str("BROKER_URL", default=f"redis+socket://{VALKEY_SOCKET}")
# Live news for open pages and the cache share the server with the broker, in other databases.
CACHE_URL = env.str("CACHE_URL", default=f"unix://{VALKEY_SOCKET}?db=1")
CACHES: dict[str, dict[str, object]] = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": CACHE_URL,
        "OPTIONS": {"serializer": "emailsettings.jsoncache.JsonSerializer"},
    }
}
if CACHE_URL.startswith("locmem"):
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# --- Celery -----------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = BROKER_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ALWAYS_EAGER = env.bool("CELERY_TASK_ALWAYS_EAGER", default=False)
# Both kinds of workers look after people: a mail server that holds all senders keeps nobody from a new password.
CELERY_TASK_ROUTES = {
    "delivery.*": {"queue": "send"},
    "organizations.*": {"queue": "people"},
    # What somebody waits for has a worker of its own: first downloads may hold all others for a long time.
    "mailstore.fetch_news": {"queue": "prompt"},
    "mailstore.sync_mailbox": {"queue": "prompt"},
    "mailstore.carry_out_changes": {"queue": "prompt"},
    "mailstore.sync_next": {"queue": "due"},  # holds one wake-up at most (mailstore/waking.py)
    "*": {"queue": "sync"},
}
CELERY_TASK_DEFAULT_QUEUE = "sync"
CELERY_TASK_SOFT_TIME_LIMIT = 50 * 60
CELERY_TASK_TIME_LIMIT = 55 * 60
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 60 * 60,  # above the longest task, or it is run twice at once
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_keepalive": True,
    "socket_connect_timeout": 2,  # a broker that is down must not keep anybody waiting: beat finds the rows
}
CELERY_BEAT_SCHEDULE = {
    "sync due mailboxes": {"task": "mailstore.sync_due_mailboxes", "schedule": 15.0},
    "carry out changes of readers": {"task": "mailstore.carry_out_due_changes", "schedule": 60.0},
    "remove what deleted mailboxes left": {"task": "mailstore.remove_leftovers", "schedule": 5 * 60.0},
    "sweep the outbox": {"task": "delivery.sweep_outbox", "schedule": 30.0},
    "look for uncertain mail": {"task": "delivery.look_for_uncertain", "schedule": 30.0},
    "read new mail for reports": {"task": "delivery.read_arrivals", "schedule": 30.0},
    "carry on decisions about many mails": {"task": "delivery.carry_on_runs", "schedule": 60.0},
    "let old mail go": {"task": "delivery.let_old_mail_go", "schedule": 15 * 60.0},
    "mail notices": {"task": "delivery.mail_notices", "schedule": 30.0},
    "remove outlived notifications": {"task": "notifications.remove_outlived", "schedule": 24 * 60 * 60.0},
    "sweep requests for new passwords": {"task": "organizations.sweep_password_requests", "schedule": 60.0},
}
# How many syncs run at once, over all workers together; of that servers that do not answer get a fifth.
SYNC_SLOTS = env.int("EMAILSETTINGS_SYNC_SLOTS", default=2 if DATABASE_IS_SQLITE else 4)
SYNCS_PER_HOST = env.int("EMAILSETTINGS_SYNCS_PER_HOST", default=16)
CELERY_BEAT_SCHEDULE_FILENAME = str(STATE_DIR / "beat-schedule")

# --- People -----------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "organizations.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_ADAPTER = "organizations.sign_in.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "organizations.forms.SignInForm",
    "change_password": "organizations.forms.ChangePasswordForm",
    "reset_password": "organizations.forms.ForgottenPasswordForm",
    "reset_password_from_key": "organizations.forms.NewPasswordForm",
}
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
#: Wrong passwords are counted by organizations/throttle.py instead.
ACCOUNT_RATE_LIMITS = {"reset_password": "20/m/ip,5/5m/key", "login_failed": None}
PASSWORD_RESET_TIMEOUT = 2 * 60 * 60
# Invitations and new passwords leave by this way alone (organizations/account_mail.py).
ACCOUNT_MAIL_URL = env.str("ACCOUNT_MAIL_URL", default="")
ACCOUNT_MAIL_FROM = env.str("ACCOUNT_MAIL_FROM", default="")
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

# --- Language and time ------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_I18N = True
USE_TZ = True

# --- Files ------------------------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = STATE_DIR / "static"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
MAIL_DIR = Path(env.str("EMAILSETTINGS_MAIL_DIR", default=str(STATE_DIR / "mail")))
FILE_UPLOAD_MAX_MEMORY_SIZE = 2_621_440  # octets; larger requests only where body_limits.LIMITS has them
DATA_UPLOAD_MAX_MEMORY_SIZE = 30 * 1024 * 1024

# --- Browser security -------------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "frame-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    },
}
HTTPS = env.bool("EMAILSETTINGS_HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SILENCED_SYSTEM_CHECKS = env.list("SILENCED_SYSTEM_CHECKS", default=[])
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
# How many proxies of ours stand in front, each of which appends to X-Forwarded-For; 0: the header is not believed.
PROXIES = env.int("EMAILSETTINGS_PROXIES", default=0)
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"


def public_url() -> str:
    """Where people reach the pages, for links in mail that no request writes; without a slash at the end."""
    if given := env.str("EMAILSETTINGS_URL", default="") or next(iter(CSRF_TRUSTED_ORIGINS), ""):
        return str(given).rstrip("/")
    if not DATABASE_IS_SQLITE:
        return f"http{'s' if HTTPS else ''}://{ALLOWED_HOSTS[0]}"
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(HOST, HOST)  # noqa: S104  as ./run prints it
    return f"http://{f'[{near}]' if ':' in near else near}:{env.str('PORT', default='') or 8000}"


PUBLIC_URL = public_url()

# --- Outgoing connections (spec J2) -----------------------------------------------------------------------------

# CIDRs of internal mail servers, and ports beyond the usual ones, that may be dialled.
DIAL_NETWORKS = env.list("EMAILSETTINGS_DIAL_NETWORKS", default=[])
DIAL_PORTS = env.list("EMAILSETTINGS_DIAL_PORTS", cast=int, default=[])
EXTRA_CA_FILE = env.str("EMAILSETTINGS_EXTRA_CA_FILE", default="")

# The sandbox listens on two loopback ports, chosen once by `./run`; 0 = there is no sandbox.
SANDBOX = env.bool("EMAILSETTINGS_SANDBOX", default=True) and DATABASE_IS_SQLITE
SANDBOX_DIR = STATE_DIR / "sandbox"
SANDBOX_IMAP_PORT = SANDBOX_SMTP_PORT = 0
if SANDBOX and (SANDBOX_DIR / "ports").exists():
    SANDBOX_IMAP_PORT, SANDBOX_SMTP_PORT = map(int, (SANDBOX_DIR / "ports").read_text().split())

# --- Logs -------------------------------------------------------------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
        "null": {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    # Whoever scans the network sends foreign host names; each would leave a stack in the log.
    "loggers": {"django.security.DisallowedHost": {"handlers": ["null"], "propagate": False}},
}
