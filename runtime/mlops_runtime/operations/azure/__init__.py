"""The roads to Azure: Container Apps and Web App for Containers, with records and lock in Blob storage, by its CLI."""
