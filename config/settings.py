"""Django's settings: one file, the environment makes the difference (``docs/operators/configuration.md``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from config.env import database_address, env, store_addresses

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Who we are -----------------------------------------------------------------------------------
SECRET_KEY = env.secret("FLOTILLA_SECRET_KEY")
DEBUG = env.flag("FLOTILLA_DEBUG", default=False)
PUBLIC_URL = env.url("FLOTILLA_PUBLIC_URL")  # what browsers and API clients use
DEVICE_URL = env.url("DEVICE_URL", PUBLIC_URL)  # what every href for a device starts with, never a request's Host
DEVICE_POLL_INTERVAL_S = env.integer("FLOTILLA_POLL_INTERVAL_S", 30, minimum=1, maximum=86_400)
# What our agent is told: between two health samples, length of an inference window, between two version reports.
DEVICE_HEALTH_INTERVAL_S = env.integer("FLOTILLA_HEALTH_INTERVAL_S", 30, minimum=1, maximum=86_400)
DEVICE_WINDOW_INTERVAL_S = env.integer("FLOTILLA_WINDOW_INTERVAL_S", 60, minimum=1, maximum=86_400)
DEVICE_REPORT_INTERVAL_S = env.integer("FLOTILLA_REPORT_INTERVAL_S", 300, minimum=1, maximum=86_400)
ALLOWED_HOSTS = env.names("FLOTILLA_ALLOWED_HOSTS", urlsplit(PUBLIC_URL).hostname or "")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
KEYS_DIR = env.directory("FLOTILLA_KEYS_DIR")  # device authority and signing keys, 0700

# --- Applications ---------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.postgres",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "django_celery_beat",
    "config",
    "common",
    "governance",
    "fleet",
    "models_registry",
    "telemetry",
    "rollouts",
    "insights",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.middleware.RequestIdMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.middleware.ContentSecurityPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": []},
    }
]

# --- Data -----------------------------------------------------------------------------------------
DATABASE_ADDRESS = database_address(env.text("DATABASE_URL"))
# LISTEN and NOTIFY need a session of their own: where PgBouncer pools transactions, point this past it.
LIVE_DATABASE_ADDRESS = database_address(env.text("LIVE_DATABASE_URL", env.text("DATABASE_URL")), "LIVE_DATABASE_URL")
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": DATABASE_ADDRESS.host,
        "PORT": DATABASE_ADDRESS.port,
        "NAME": DATABASE_ADDRESS.name,
        "USER": DATABASE_ADDRESS.user,
        "PASSWORD": DATABASE_ADDRESS.password,
        "CONN_MAX_AGE": 0,
        "OPTIONS": {
            **DATABASE_ADDRESS.options,
            # Stock Django under ASGI opens a connection per concurrent request; the pool bounds them.
            "pool": {
                "min_size": 1,
                "max_size": env.integer("FLOTILLA_DB_POOL", 8, minimum=1, maximum=200),
                "timeout": 10,
                # Its pauses between attempts double. After so many seconds they begin anew: whoever waits for a
                # database that restarts reaches it soon after it is back, however long it was away.
                "reconnect_timeout": 5,
            },
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ARTIFACT_STORES = store_addresses(
    env.names("ARTIFACT_STORES"),
    secret=lambda store: env.text(f"ARTIFACT_STORE_{store.upper()}_SECRET", ""),
)
UPLOAD_DIR = env.directory("FLOTILLA_UPLOAD_DIR")  # unfinished tus uploads
UPLOAD_MAX_BYTES = env.integer("FLOTILLA_UPLOAD_MAX_MB", 2048, minimum=1, maximum=1_000_000) * 1_000_000

# --- People ---------------------------------------------------------------------------------------
AUTH_USER_MODEL = "governance.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
# Browsers do not separate cookies by port: two installations on one host need names of their own.
_COOKIE_SUFFIX = urlsplit(PUBLIC_URL).port or 443
SESSION_COOKIE_NAME = f"flotilla_session_{_COOKIE_SUFFIX}"
CSRF_COOKIE_NAME = f"flotilla_csrf_{_COOKIE_SUFFIX}"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.flag("FLOTILLA_BEHIND_TLS_PROXY", default=False) else None
)
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_500_000  # bytes of one API body; models come through the upload door

# --- Background work ------------------------------------------------------------------------------
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL")
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {}
if CELERY_BROKER_URL.startswith("filesystem://"):
    _broker_dir = env.directory("FLOTILLA_BROKER_DIR")
    for _folder in ("messages", "control"):
        (_broker_dir / _folder).mkdir(mode=0o700, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_broker_dir / "messages"),
        "data_folder_out": str(_broker_dir / "messages"),
        "control_folder": str(_broker_dir / "control"),
        "polling_interval": 0.05,
    }
CELERY_TASK_IGNORE_RESULT = True  # work that matters is a Job row; results in a broker would be a second truth
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_TIME_LIMIT = 900
CELERY_TASK_SOFT_TIME_LIMIT = 840
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"

# --- Text, time, files ----------------------------------------------------------------------------
LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
# Served by config/asgi.py under /static/; the page itself by config/dashboard.py.
FRONTEND_DIST = BASE_DIR / "frontend" / "dist"
APPEND_SLASH = False

# --- API ------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "governance.authentication.ApiTokenAuthentication",
        "governance.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["governance.permissions.HasRole"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "common.api.pagination.KeysetPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.exception_handler.exception_handler",
    "DEFAULT_VERSIONING_CLASS": None,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Flotilla",
    "DESCRIPTION": "Control plane for fleets of edge-AI devices: the API of operators and integrations.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    # Names of sets of values that would otherwise be told apart by a digest.
    "ENUM_NAME_OVERRIDES": {
        "AlertStateEnum": "telemetry.models.AlertState",
        "ApiTokenStateEnum": "governance.api.serializers.API_TOKEN_STATES",
        "AreaSeverityEnum": "insights.api.serializers.AREA_SEVERITIES",
        "DeploymentStateEnum": "rollouts.models.DeploymentState",
        "DeviceStateEnum": "fleet.models.DeviceState",
        "DriftVerdictEnum": "telemetry.models.DriftVerdict",
        "EnrolmentTokenStateEnum": "fleet.api.serializers.ENROLMENT_TOKEN_STATES",
        "EvidenceEnum": "fleet.models.Evidence",
        "JobStateEnum": "common.models.JobState",
        "RolloutStateEnum": "rollouts.models.RolloutState",
        "SeverityEnum": "telemetry.models.Severity",
        "VerdictEnum": "rollouts.models.Verdict",
        "VersionStateEnum": "models_registry.models.VersionState",
    },
}

# --- Telemetry ------------------------------------------------------------------------------------
TELEMETRY_RETENTION_HOURS = env.integer("FLOTILLA_RETENTION_HOURS", 720, minimum=1, maximum=100_000)
# Width of the series' partitions: what is older than the retention goes one whole partition at a time.
TELEMETRY_PARTITION_HOURS = env.integer("FLOTILLA_PARTITION_HOURS", 24, minimum=1, maximum=24)
DRIFT_WINDOW_S = env.integer("FLOTILLA_DRIFT_WINDOW_S", 3600, minimum=10, maximum=604_800)

# --- Demo -----------------------------------------------------------------------------------------
# Where the demo's story listens; without it there is no tour. Only `make demo` sets it.
DEMO_CONTROL_URL = env.text("FLOTILLA_DEMO_CONTROL_URL", "")
# Sent as X-Demo-Secret: other users of this machine reach the address too, and must not steer the story.
DEMO_CONTROL_SECRET = env.secret("FLOTILLA_DEMO_CONTROL_SECRET") if DEMO_CONTROL_URL else ""

# --- Logs -----------------------------------------------------------------------------------------
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.text("FLOTILLA_LOG_LEVEL", "INFO")},
}
SILENCED_SYSTEM_CHECKS = [
    "security.W004",  # HSTS is the TLS proxy's to set: it knows for which names it holds
    "security.W008",  # likewise the redirect to https
]
