"""One PUBLISH in: from what the broker sent to what is pending."""
