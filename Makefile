# Everything starts here: each target needs nothing but make, python3 and, the first time, a network.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup packages demo demo-tui pictures image dist deb test test-image test-servers test-packages caches bench lint check clean

PYTHON ?= python3
venv := .venv
stamps := $(venv)/stamps
# The lists of Debian packages that the target needs.
lists := debian-packages.txt
# More workers bring nothing: the longest tests and groups are then what takes the time.
pytest := $(venv)/bin/pytest --durations=10 --dist loadgroup --maxprocesses 8

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: packages $(stamps)/python ## install what is missing: Debian packages, then .venv

# Asked every time, because packages are installed and removed behind our back; dpkg-query answers at once. A kernel
# is wanted by libguestfs, any will do: where there is one, another would only change what the machine boots next.
packages:
	@ls /boot/vmlinuz-* >/dev/null 2>&1 && unwanted=linux-image || unwanted=none; \
	missing=$$(sed 's/#.*//' $(lists) | grep -v "^$$unwanted" | xargs -n 1 sh -c \
	    'dpkg-query -W -f "\$${db:Status-Status}\n" "$$0" 2>/dev/null | grep -qx installed || echo "$$0"' | xargs); \
	test -n "$$missing" || exit 0; \
	if [ "$$(id -u)" = 0 ]; then sudo=; \
	elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then sudo=sudo; \
	else \
	    echo "These Debian packages are missing: $$missing" >&2; \
	    echo "Install them as root: apt-get update && apt-get install --no-install-recommends $$missing" >&2; \
	    exit 1; \
	fi; \
	echo "Installing $$missing"; \
	$$sudo apt-get update -q && \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing

# Without python3-venv an earlier try leaves a Python there, but no pip.
$(stamps)/python: pyproject.toml requirements.txt debian-packages.txt | packages
	$(venv)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(venv)
	@echo "Installing Python packages into $(venv)"
	$(venv)/bin/python -m pip install --require-hashes --only-binary=:all: -r requirements.txt
	$(venv)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@mkdir -p $(stamps) && touch $@
	@echo "p2v-tui is installed here as $(venv)/bin/p2v-tui. docs/install.md has other ways."

demo: setup ## convert a real disk and boot the guest that comes out
	$(venv)/bin/python -m tests.lab.demo $(DEMO_OPTIONS)

demo-tui: setup ## open the screens against a conversion server on this machine
	$(venv)/bin/python -m tests.lab.demo_tui

pictures: setup ## draw the screens for the pages, and record a conversion, into docs/pictures
	$(venv)/bin/python -m tests.screens.pictures
	$(venv)/bin/python -m tests.lab.recording

image: lists := live-image/debian-packages.txt
image: packages ## build the live image, build/p2v-tui.iso; IMAGE_OPTIONS are those of live-image/build.py
	$(PYTHON) live-image/build.py -o build/p2v-tui.iso $(IMAGE_OPTIONS)

# The wheel is made of the source archive, so that nothing is in one that the other lacks.
dist: setup ## make the source archive and the wheel, in build/dist
	rm -rf build/dist
	$(venv)/bin/python -c 'from setuptools import build_meta; build_meta.build_sdist("build/dist")' >/dev/null
	$(venv)/bin/python -m pip wheel --quiet --no-deps --no-build-isolation -w build/dist build/dist/*.tar.gz

# -d: the build needs no compiler, which is all that make does not install.
deb: lists += debian/packages.txt
deb: dist ## make the Debian package, in build/deb
	rm -rf build/deb
	mkdir -p build/deb
	tar -xf build/dist/*.tar.gz -C build/deb
	export SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct 2>/dev/null || date +%s)" && cd build/deb/*/ && \
	python3 debian/changelog.py >debian/changelog && dpkg-buildpackage -d -us -uc -b

test: setup ## run all tests, real conversions among them, but for those of the live image and of other servers
	$(pytest) -n auto --ignore=tests/live_image --ignore=tests/servers --ignore=tests/packages

test-image: lists += live-image/debian-packages.txt
test-image: setup ## build the live image and boot it in every way there is; RELEASE= another release of Debian
	$(pytest) -n logical tests/live_image $(if $(RELEASE),--image-release $(RELEASE))

test-servers: setup ## convert on servers of Debian 11, 13 and testing; RELEASE=trixie on one of them
	$(pytest) -n logical tests/servers $(if $(RELEASE),-k $(RELEASE))

test-packages: deb ## install the Debian package on Debian 12 and 13, and build and test the source archive
	$(pytest) tests/packages

caches: lists += live-image/debian-packages.txt
caches: setup image ## make beforehand what tests keep in the user's cache directory: the image, servers (RELEASE=...), machines
	$(venv)/bin/python -m tests.lab.releases $(RELEASE)
	$(venv)/bin/python -m tests.lab.machines

bench: setup ## measure consoles and the data path, against the limits, newt and virt-p2v
	$(venv)/bin/python -m bench.console_bytes
	$(venv)/bin/python -m bench.transport
	$(venv)/bin/python -m bench.log_speed
	$(venv)/bin/python -m bench.probing

lint: setup ## format, lint, types and layers
	$(venv)/bin/ruff format --check
	$(venv)/bin/ruff check
	$(venv)/bin/mypy
	$(venv)/bin/lint-imports

# What is looked at in several sizes of the screen is looked at in one.
check: lint ## lint and the quick tests, in a minute: what to run before every commit
	$(pytest) -n logical -m "not integration and not application" -k "not 132x43 and not 200x60" --hypothesis-profile=quick tests/unit tests/screens

clean: ## remove what was made here; the guest disks in the user's cache directory stay
	rm -rf $(venv) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
