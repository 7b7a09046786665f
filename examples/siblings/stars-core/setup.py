from setuptools import find_namespace_packages, setup

setup(
    name="orq-example-stars-core",
    version="1.2.0",
    package_dir={"": "src"},
    packages=find_namespace_packages("src"),
)
