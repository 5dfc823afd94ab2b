# Every third-party library, under the name tools/layers.txt uses for it. Debian packages only (ADR-0002).
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(fmt REQUIRED)
find_package(GTest REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Boost 1.74 REQUIRED)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(LIBPQ REQUIRED IMPORTED_TARGET libpq)

find_library(ROCKSDB_LIBRARY NAMES rocksdb REQUIRED)

set(EXCLAVE_THIRD_PARTY_fmt fmt::fmt)
set(EXCLAVE_THIRD_PARTY_openssl-crypto OpenSSL::Crypto)
set(EXCLAVE_THIRD_PARTY_openssl-ssl OpenSSL::SSL)
set(EXCLAVE_THIRD_PARTY_zstd PkgConfig::ZSTD)
set(EXCLAVE_THIRD_PARTY_rocksdb "${ROCKSDB_LIBRARY}")
set(EXCLAVE_THIRD_PARTY_nlohmann-json nlohmann_json::nlohmann_json)
set(EXCLAVE_THIRD_PARTY_toml++ "")        # header only
set(EXCLAVE_THIRD_PARTY_boost-beast Boost::headers)
set(EXCLAVE_THIRD_PARTY_cli11 "")         # header only
set(EXCLAVE_THIRD_PARTY_libpq PkgConfig::LIBPQ)
